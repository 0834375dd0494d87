//! `gresgen schema`: JSON Schemas, derived from the types that are read and written.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::report::{Exit, Outcome};
use super::{advised, changed, demand, env, init, order, out, plan, profiles, render, slices, status};
use crate::check::Link;
use crate::config::file::Document;
use crate::history;
use crate::order::Request;
use crate::render::Context;
use crate::users::Offer;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What the schema is of: the configuration, or what a verb prints with --json
    #[arg(default_value = "config")]
    what: What,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    /// The configuration, which export prints
    Config,
    /// What init prints
    Init,
    /// What status prints: the inventory of a node
    Status,
    /// What history prints
    History,
    /// What profiles prints
    Profiles,
    /// What plan prints
    Plan,
    /// What apply, clear and mode print
    Apply,
    /// What order reads
    OrderInput,
    /// What order prints
    Order,
    /// What render prints
    Render,
    /// What check prints
    Check,
    /// What slices prints
    Slices,
    /// What demand prints
    Demand,
    /// What advise prints
    Advise,
    /// What env prints
    Env,
}

/// What a verb prints that prints something else with an option.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "schemas are made of it")]
#[serde(untagged)]
enum Either<A, B> {
    Usual(A),
    Asked(B),
}

/// Where editors find the schema of the configuration once `make install` has been there.
const CONFIG: &str = "/usr/share/gresgen/config.schema.json";

pub(super) fn run(args: &Args) -> Outcome {
    let schema = match args.what {
        What::Config => config(),
        What::Init => printed::<init::Report>(),
        What::Status => printed::<status::Report<'_>>(),
        What::History => printed::<Vec<history::Entry>>(),
        What::Profiles => printed::<Either<Vec<profiles::Listing>, Vec<profiles::Model>>>(),
        What::Plan => printed::<plan::Report<'_>>(),
        What::Apply => printed::<changed::Report>(),
        What::OrderInput => of::<Request>(SchemaSettings::draft2020_12().for_deserialize()),
        What::Order => printed::<order::Answer<'_>>(),
        What::Render => printed::<Either<render::Report, Either<Context, Offer>>>(),
        What::Check => printed::<Vec<Link>>(),
        What::Slices => printed::<Either<slices::Report<'_>, slices::Row<'_>>>(),
        What::Demand => printed::<demand::Report>(),
        What::Advise => printed::<advised::Document<'_>>(),
        What::Env => printed::<Either<env::Variables, Vec<env::Device<'_>>>>(),
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
