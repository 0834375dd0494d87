//! `gresgen schema`: JSON Schemas, derived from the types that are read and written.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::out;
use super::report::{Exit, Outcome};
use crate::config::file::Document;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What the schema is of
    #[arg(default_value = "config")]
    what: What,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    /// The configuration
    Config,
}

/// Where editors find the schema of the configuration once `make install` has been there.
const CONFIG: &str = "/usr/share/gresgen/config.schema.json";

pub(super) fn run(args: &Args) -> Outcome {
    let schema = match args.what {
        What::Config => config(),
    };
    out::json(&schema)?;
    Ok(Exit::Ok)
}

fn config() -> Schema {
    let mut schema = of::<Document>(SchemaSettings::draft2020_12().for_deserialize());
    schema.insert("$id".to_owned(), format!("file://{CONFIG}").into());
    schema.insert("title".to_owned(), "Configuration of gresgen".into());
    schema
}

fn of<T: JsonSchema>(settings: SchemaSettings) -> Schema {
    settings.into_generator().into_root_schema_for::<T>()
}
