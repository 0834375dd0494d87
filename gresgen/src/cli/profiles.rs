//! `gresgen profiles`

use mig::{BOARDS, Board, Geometry, Placed, Spec, room};
use serde::Serialize;

use super::report::{Exit, Failure, Outcome};
use super::session::{Only, Session};
use super::{Global, out};
use crate::config::is_model;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    only: Only,
    /// Any GPU model, by key (a100-40gb) or product name; no driver needed
    #[arg(long, value_name = "MODEL", conflicts_with = "gpus")]
    model: Option<String>,
    /// List the models known without a driver
    #[arg(long, conflicts_with_all = ["model", "gpus"])]
    models: bool,
}

/// A model known without a driver.
#[derive(Serialize)]
struct Model {
    key: &'static str,
    names: &'static [&'static str],
}

/// Profiles of one GPU or model.
#[derive(Serialize)]
struct Listing {
    /// GPU index, absent for a model from the table.
    gpu: Option<u32>,
    model: String,
    profiles: Vec<Row>,
}

#[derive(PartialEq, Eq, Serialize)]
struct Row {
    profile: String,
    id: u32,
    free: u32,
    max: u8,
    memory_mib: Option<u64>,
    sms: Option<u32>,
    copy_engines: Option<u8>,
    decoders: Option<u8>,
    encoders: Option<u8>,
    jpeg: Option<u8>,
    ofa: Option<u8>,
    size: u8,
    starts: Vec<u8>,
    compute_instances: Vec<String>,
}

pub(super) fn run(session: &Session, global: &Global, args: &Args) -> Outcome {
    if args.models {
        models(global.json)?;
        return Ok(Exit::Ok);
    }
    let listings = match &args.model {
        Some(model) => vec![offline(model)?],
        None => present(session, &args.only)?,
    };
    if global.json {
        out::json(&listings)?
    } else {
        out::text(&text(&listings, global.verbose))?
    }
    Ok(Exit::Ok)
}

fn models(json: bool) -> Result<(), Failure> {
    if json {
        return out::json(&BOARDS.iter().map(|b| Model { key: b.key, names: b.names }).collect::<Vec<_>>());
    }
    out::text(&out::table(
        &BOARDS.iter().map(|b| vec![b.key.to_owned(), b.names.join(", ")]).collect::<Vec<_>>(),
    ))
}

fn offline(model: &str) -> Result<Listing, Failure> {
    let board = BOARDS.iter().find(|board| is_model(model, board)).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{model}: no such GPU model"))
            .hint("gresgen profiles --models lists them")
    })?;
    Ok(Listing::new(None, board.key, &Board::geometry(board), &[]))
}

fn present(session: &Session, only: &Only) -> Result<Vec<Listing>, Failure> {
    let mut inventory = session.driver()?.inventory(&session.node())?;
    only.keep(&mut inventory)?;
    let with_mig = inventory.gpus.iter().filter(|gpu| !gpu.geometry.specs.is_empty());
    let listing = |gpu: &crate::inventory::Gpu| {
        let placed: Vec<Placed> = gpu.instances.iter().map(|i| i.placed).collect();
        Listing::new(Some(gpu.index), &gpu.model, &gpu.geometry, &placed)
    };
    Ok(with_mig.map(listing).collect())
}

impl Listing {
    fn new(gpu: Option<u32>, model: &str, geometry: &Geometry, placed: &[Placed]) -> Self {
        let free = room::room(geometry, placed);
        let row = |spec: &Spec| Row::new(spec, free.get(&spec.profile).copied().unwrap_or(0));
        // The driver's order differs from the table's, which stands in for it where MIG is off.
        let mut specs: Vec<&Spec> = geometry.specs.iter().collect();
        specs.sort_by_key(|spec| spec.profile);
        Listing { gpu, model: model.to_owned(), profiles: specs.into_iter().map(row).collect() }
    }
}

impl Row {
    fn new(spec: &Spec, free: u32) -> Self {
        let engines = spec.engines;
        let compute =
            spec.compute.iter().map(|c| format!("{} x {}", c.max, spec.profile.with_compute(c.slices)));
        Row {
            profile: spec.profile.to_string(),
            id: spec.id,
            free,
            max: spec.max,
            memory_mib: spec.memory_mib,
            sms: spec.sms,
            copy_engines: engines.copy,
            decoders: engines.decoder,
            encoders: engines.encoder,
            jpeg: engines.jpeg,
            ofa: engines.ofa,
            size: spec.size,
            starts: spec.starts.clone(),
            compute_instances: compute.collect(),
        }
    }

    fn cells(&self) -> Vec<String> {
        /// An unknown number; only the offline tables have those.
        fn known<T: ToString>(value: Option<T>) -> String {
            value.map_or_else(|| "?".to_owned(), |v| v.to_string())
        }
        let starts: Vec<String> = self.starts.iter().map(ToString::to_string).collect();
        vec![
            self.profile.clone(),
            self.id.to_string(),
            format!("{}/{}", self.free, self.max),
            known(self.memory_mib),
            known(self.sms),
            known(self.copy_engines),
            known(self.decoders),
            known(self.encoders),
            known(self.jpeg),
            known(self.ofa),
            format!("{{{}}}:{}", starts.join(","), self.size),
        ]
    }
}

const HEADINGS: [&str; 11] =
    ["PROFILE", "ID", "FREE", "MiB", "SM", "CE", "DEC", "ENC", "JPEG", "OFA", "PLACEMENTS"];

/// GPUs that can be cut into the same share a table.
fn text(listings: &[Listing], verbose: bool) -> String {
    let mut groups: Vec<(Vec<u32>, &Listing)> = Vec::new();
    for listing in listings {
        let alike = |(_, other): &&mut (Vec<u32>, &Listing)| {
            other.model == listing.model && other.profiles == listing.profiles
        };
        match groups.iter_mut().find(alike) {
            Some((gpus, _)) => gpus.extend(listing.gpu),
            None => groups.push((listing.gpu.into_iter().collect(), listing)),
        }
    }
    let blocks = groups.into_iter().map(|(gpus, listing)| {
        let numbers: Vec<String> = gpus.iter().map(ToString::to_string).collect();
        let title = match &numbers[..] {
            [] => format!("{}\n", listing.model),
            [one] => format!("GPU {one}  {}\n", listing.model),
            several => format!("GPUs {}  {}\n", several.join(", "), listing.model),
        };
        let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
        rows.extend(listing.profiles.iter().map(Row::cells));
        let table = out::table(&rows);
        let parts =
            std::iter::once(&[][..]).chain(listing.profiles.iter().map(|row| &row.compute_instances[..]));
        let lines = table.lines().zip(parts).map(|(line, parts)| match verbose && parts.len() > 1 {
            true => format!("{line}\n  as {}\n", parts.join(" or ")),
            false => format!("{line}\n"),
        });
        title + &lines.collect::<String>()
    });
    blocks.collect::<Vec<_>>().join("\n")
}
