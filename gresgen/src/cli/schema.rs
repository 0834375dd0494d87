//! `gresgen schema`: JSON Schemas, derived from the types that are read and written.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::report::{Exit, Outcome};
use super::{changed, env, out, plan, render};
use crate::check::Link;
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
    /// What plan prints with --json
    Plan,
    /// What apply, clear and mode print
    Apply,
    /// What render prints
    Render,
    /// What check prints
    Check,
    /// What env prints
    Env,
}

/// Where editors find the schema of the configuration once `make install` has been there.
const CONFIG: &str = "/usr/share/gresgen/config.schema.json";

pub(super) fn run(args: &Args) -> Outcome {
    let schema = match args.what {
        What::Config => config(),
        What::Plan => printed::<plan::Report<'_>>(),
        What::Apply => printed::<changed::Report>(),
        What::Render => printed::<render::Report>(),
        What::Check => printed::<Vec<Link>>(),
        What::Env => printed::<env::Variables>(),
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

/// What a verb prints. A later release may print more.
fn printed<T: JsonSchema>() -> Schema {
    of::<T>(SchemaSettings::draft2020_12().for_serialize())
}

fn of<T: JsonSchema>(settings: SchemaSettings) -> Schema {
    settings.into_generator().into_root_schema_for::<T>()
}
