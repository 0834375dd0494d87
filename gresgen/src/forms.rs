//! Types that YAML has in one of several forms: a number or a text, a value or a list of them.
//!
//! serde's own way, an `untagged` enum, buffers what it reads: places are lost with it, and what was expected.

/// How a type is read: `reads!(Amount as "a count, or a map"; u64(count) => …, map(fields) => …)`. Of a list or a map what
/// comes is a deserializer, of any other form the value.
macro_rules! reads {
    ($type:ty $(, $generic:ident)? as $expected:expr; $($form:ident($value:ident) => $read:expr),+ $(,)?) => {
        impl<'de $(, $generic: serde::Deserialize<'de>)?> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Form<T>(std::marker::PhantomData<T>);
                impl<'de $(, $generic: serde::Deserialize<'de>)?> serde::de::Visitor<'de> for Form<$type> {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }

                    $($crate::forms::visit!($form, $value, $read);)+
                }
                deserializer.deserialize_any(Form::<$type>(std::marker::PhantomData))
            }
        }
    };
}

/// One form of those.
macro_rules! visit {
    (seq, $value:ident, $read:expr) => {
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            let $value = serde::de::value::SeqAccessDeserializer::new(list);
            $read
        }
    };
    (map, $value:ident, $read:expr) => {
        fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            let $value = serde::de::value::MapAccessDeserializer::new(map);
            $read
        }
    };
    (unit, $value:ident, $read:expr) => {
        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            $read
        }
    };
    (str, $value:ident, $read:expr) => {
        $crate::forms::visit!(visit_str(&str), $value, $read);
    };
    (bool, $value:ident, $read:expr) => {
        $crate::forms::visit!(visit_bool(bool), $value, $read);
    };
    (u64, $value:ident, $read:expr) => {
        $crate::forms::visit!(visit_u64(u64), $value, $read);
    };
    (i64, $value:ident, $read:expr) => {
        $crate::forms::visit!(visit_i64(i64), $value, $read);
    };
    (f64, $value:ident, $read:expr) => {
        $crate::forms::visit!(visit_f64(f64), $value, $read);
    };
    ($visit:ident($type:ty), $value:ident, $read:expr) => {
        fn $visit<E: serde::de::Error>(self, $value: $type) -> Result<Self::Value, E> {
            $read
        }
    };
}

pub(crate) use {reads, visit};
