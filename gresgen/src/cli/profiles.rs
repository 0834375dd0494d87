//! `gresgen profiles`

use std::collections::BTreeMap;

use clap_complete::engine::ArgValueCandidates;
use mig::{BOARDS, Board, Certainty, Geometry, Placement, Profile, Spec, room};
use schemars::JsonSchema;
use serde::Serialize;

use super::gpus::Only;
use super::report::{Failure, Outcome};
use super::session::Session;
use super::{complete, out};
use crate::alike::groups;
use crate::config::boards;
use crate::slurm::here;
use crate::words::{did_you_mean, named_gpus};

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    only: Only,
    /// Any GPU model, by key (a100-40gb) or product name; no driver needed
    #[arg(long, value_name = "MODEL", conflicts_with = "gpus", add = ArgValueCandidates::new(complete::models))]
    model: Option<String>,
    /// List the models known without a driver
    #[arg(long, conflicts_with_all = ["model", "gpus"])]
    models: bool,
}

/// Profiles of one GPU or model.
#[derive(Serialize, JsonSchema)]
pub(super) struct Listing {
    /// GPU index, absent for a model from the table.
    gpu: Option<u32>,
    model: String,
    /// How much of a table was seen on real boards; absent for a GPU, which was asked.
    certainty: Option<&'static str>,
    profiles: Vec<Row>,
}

/// One profile, as the inventory has it, and how many of it still fit.
#[derive(PartialEq, Eq, Serialize, JsonSchema)]
struct Row {
    #[serde(flatten)]
    spec: Spec,
    free: u32,
    /// What an instance can be divided into.
    #[serde(skip)]
    divisions: Vec<String>,
}

/// A model from the table.
#[derive(Serialize, JsonSchema)]
pub(super) struct Model {
    key: &'static str,
    /// Product names.
    names: &'static [&'static str],
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    if args.models {
        let model = |board: &Board| Model { key: board.key, names: board.names };
        let row = |board: &Board| vec![board.key.to_owned(), board.names.join(", ")];
        let models: Vec<Model> = BOARDS.iter().map(model).collect();
        return session.print(&models, || out::table(&BOARDS.iter().map(row).collect::<Vec<_>>()));
    }
    let listings = match &args.model {
        Some(model) => vec![offline(model)?],
        None => present(session, &args.only)?,
    };
    session.print(&listings, || text(&listings, session.global.verbose))
}

fn offline(model: &str) -> Result<Listing, Failure> {
    let board = match &boards(model)[..] {
        [] => {
            let near = did_you_mean(model, BOARDS.iter().map(|board| board.key));
            let hint = "gresgen profiles --models lists them";
            return Err(Failure::usage(format!("{model}: no such GPU model{near}")).hint(hint));
        }
        [board] => *board,
        several => {
            let name = |board: &&Board| match board.names.first() {
                Some(name) => format!("{} ({name})", board.key),
                None => board.key.to_owned(),
            };
            let names: Vec<String> = several.iter().map(name).collect();
            return Err(Failure::usage(format!("{model}: stands for several models"))
                .hint(format!("say which: {}", names.join(", "))));
        }
    };
    let listing = Listing::new(None, board.key, &Board::geometry(board), &[]);
    Ok(Listing { certainty: Some(certainty(board)), ..listing })
}

fn certainty(board: &Board) -> &'static str {
    match board.certainty {
        Certainty::Verified => "seen on real boards",
        Certainty::Partial => "the first profiles seen on real boards, the rest inferred",
        Certainty::Inferred => "inferred from a board with the same die",
        Certainty::NamesOnly => "profile names published, placements inferred, numbers not known",
    }
}

fn present(session: &Session, only: &Only) -> Result<Vec<Listing>, Failure> {
    let mut inventory = session.driver()?.inventory(&here::host_name())?;
    only.keep(&mut inventory)?;
    let with_mig = inventory.gpus.iter().filter(|gpu| !gpu.geometry.specs.is_empty());
    let listing = |gpu: &crate::inventory::Gpu| {
        let placed: Vec<Placement> = gpu.instances.iter().map(|i| i.placement).collect();
        Listing::new(Some(gpu.index), &gpu.model, &gpu.geometry, &placed)
    };
    Ok(with_mig.map(listing).collect())
}

impl Listing {
    fn new(gpu: Option<u32>, model: &str, geometry: &Geometry, placed: &[Placement]) -> Self {
        let free = room::room(geometry, placed);
        let row = |spec: &Spec| Row::new(spec, free.get(&spec.profile).copied().unwrap_or(0));
        // The driver's order differs from the table's, which stands in for it where MIG is off.
        let mut specs: Vec<&Spec> = geometry.specs.iter().collect();
        specs.sort_by_key(|spec| spec.profile);
        Listing {
            gpu,
            model: model.to_owned(),
            certainty: None,
            profiles: specs.into_iter().map(row).collect(),
        }
    }
}

impl Row {
    fn new(spec: &Spec, free: u32) -> Self {
        Row { spec: spec.clone(), free, divisions: divisions(spec) }
    }

    fn cells(&self) -> Vec<String> {
        /// An unknown number; only the offline tables have those.
        fn known<T: ToString>(value: Option<T>) -> String {
            value.map_or_else(|| "?".to_owned(), |v| v.to_string())
        }
        let spec = &self.spec;
        let starts: Vec<String> = spec.starts.iter().map(ToString::to_string).collect();
        vec![
            spec.profile.to_string(),
            spec.id.to_string(),
            format!("{}/{}", self.free, spec.max),
            known(spec.memory_mib),
            known(spec.sms),
            known(spec.copy_engines),
            known(spec.decoders),
            known(spec.encoders),
            known(spec.jpeg_decoders),
            known(spec.optical_flow),
            format!("{{{}}}:{}", starts.join(","), spec.size),
        ]
    }
}

/// What an instance can be divided into: `3 x 1c.3g.20gb`, smallest first. Hopper has two profiles of one slice, which
/// are one name where the larger does not fill the GPU instance.
fn divisions(spec: &Spec) -> Vec<String> {
    let mut most: BTreeMap<(u8, bool, Profile), u8> = BTreeMap::new();
    for part in &spec.compute {
        let name = spec.compute_name(part);
        let max = most.entry((part.slices, name.compute().is_none(), name)).or_default();
        *max = part.max.max(*max);
    }
    most.into_iter().map(|((.., name), max)| format!("{max} x {name}")).collect()
}

const HEADINGS: [&str; 11] =
    ["PROFILE", "ID", "FREE", "MiB", "SM", "CE", "DEC", "ENC", "JPEG", "OFA", "PLACEMENTS"];

/// GPUs that can be cut into the same share a table.
fn text(listings: &[Listing], verbose: bool) -> String {
    let alike = |one: &&Listing, other: &&Listing| one.model == other.model && one.profiles == other.profiles;
    let blocks = groups(listings, alike).into_iter().map(|group| {
        let listing = group[0];
        let title = if listing.gpu.is_none() {
            format!("{}  ({})\n", listing.model, listing.certainty.unwrap_or("unknown"))
        } else {
            let gpus = named_gpus(group.iter().filter_map(|listing| listing.gpu));
            format!("{gpus}  {}\n", listing.model)
        };
        let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
        rows.extend(listing.profiles.iter().map(Row::cells));
        let table = out::table(&rows);
        let none = Vec::new();
        let parts = std::iter::once(&none).chain(listing.profiles.iter().map(|row| &row.divisions));
        let lines = table.lines().zip(parts).map(|(line, parts)| {
            if verbose && parts.len() > 1 {
                let last = parts.len() - 1;
                let words = parts.iter().enumerate();
                let words = words.map(|(i, part)| if i < last { format!("{part} or") } else { part.clone() });
                format!("{line}\n{}", out::filled("  as ", words))
            } else {
                format!("{line}\n")
            }
        });
        title + &lines.collect::<String>()
    });
    blocks.collect::<Vec<_>>().join("\n")
}
