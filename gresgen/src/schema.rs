//! JSON Schemas of types that are read by hand: each is that of a shape which serde would read alike.

use schemars::JsonSchema;

/// One value or a list of them.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "schemas are made of it")]
#[serde(untagged)]
pub(crate) enum Many<T> {
    One(T),
    Several(Vec<T>),
}

/// A number, or a text.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "schemas are made of it")]
#[serde(untagged)]
pub(crate) enum NumberOrText {
    Number(u32),
    Text(String),
}

/// Gives a type the schema of another one: `schema_of!(Amount => Shape)`.
macro_rules! schema_of {
    ($type:ty => $shape:ty $(, $generic:ident)?) => {
        impl$(<$generic: schemars::JsonSchema>)? schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                <$shape as schemars::JsonSchema>::schema_name()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <$shape as schemars::JsonSchema>::json_schema(generator)
            }
        }
    };
}

pub(crate) use schema_of;
