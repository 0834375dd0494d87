//! Why a text that is JSON is not one order: the reader of an enum says only where its second key begins.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::OrderError;

/// The keys of an object, in their order, repeats too.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Collect)
    }
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, IgnoredAny)) = map.next_entry()? {
            keys.push(key);
        }
        Ok(Keys(keys))
    }
}

/// What is wrong with a text that has more than one key where an order has one; else what the reader said.
pub(super) fn explain(text: &[u8], said: serde_json::Error) -> OrderError {
    let Keys(keys) = serde_json::from_slice(text).unwrap_or(Keys(Vec::new()));
    if keys.len() < 2 {
        return said.into();
    }
    let again = keys.iter().enumerate().find(|(number, key)| keys[..*number].contains(key));
    match again {
        Some((_, key)) => OrderError::Twice(key.clone()),
        None => OrderError::Several(keys.join(" and ")),
    }
}
