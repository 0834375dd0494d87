//! Throws mutated input at the parsers that read files: the device map and the arguments in plugstack.conf.
//!
//! ```text
//! cargo run --release -p slurm-plugin --example fuzz -- [RUNS [SEED]]
//! ```
//!
//! Runs a million times unless told otherwise. A panic, or a result that breaks what the parsers promise, ends it
//! with the input that did it; the same seed finds it again.

use std::collections::BTreeSet;
use std::process::ExitCode;

use device_map::{DeviceMap, MAX_RECORDS};

// By path: the plugin itself cannot be linked without Slurm around it.
#[allow(unreachable_pub)]
#[path = "../slurm-plugin/src/args.rs"]
mod args;

mod mutate;

use args::Args;
use mutate::Random;

const MAPS: [&str; 3] = [
    "gresgen-devices 1\nnode n1\nboot 0b5b2a8e-3d0e-4c62-9a7e-2f6a3f0c9a11\ngres-conf 5d41402abc4b2a76\n\
     columns index type uuid parent gi ci files\n\
     0 1g.5gb MIG-6ba7b810 GPU-5c3f 7 0 /dev/nvidia0=195:0,/dev/nvidia-caps/nvidia-cap66=238:66\n\
     1 1g.5gb MIG-6ba7b811 GPU-5c3f 8 0 /dev/nvidia0=195:0,/dev/nvidia-caps/nvidia-cap75=238:75\n\
     2 a100 GPU-77aa GPU-77aa - - /dev/nvidia1=195:1\nend 3\n",
    "gresgen-devices 1\nlater thing\ncolumns files ci gi parent uuid type index more\n\
     /x=1:2 0 0 GPU-a MIG-b - 0 y\nend 1\n",
    "gresgen-devices 1\ncolumns index type uuid parent gi ci files\nend 0\n",
];

const LINES: [&str; 3] = [
    "map=/run/gresgen/devices on_unresolved=warn notices=off set=cuda,nvidia",
    "set=nvidia map=/a",
    "on_unresolved=fail notices=on",
];

/// What mutations insert: the words of both grammars, and what they may stumble over.
const WORDS: [&[u8]; 24] = [
    b"gresgen-devices",
    b"columns",
    b"end",
    b"index",
    b"files",
    b"MIG-",
    b"GPU-",
    b"/dev/",
    b"-",
    b"=",
    b":",
    b",",
    b" ",
    b"\n",
    b"\r\n",
    b"\0",
    b"4294967295",
    b"4294967296",
    b"18446744073709551616",
    b"-1",
    b"map=",
    b"set=",
    b"\xff",
    "\u{2028}".as_bytes(),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Ok(runs), Ok(seed)) = (arguments.next().unwrap_or(Ok(1_000_000)), arguments.next().unwrap_or(Ok(1)))
    else {
        eprintln!("usage: fuzz [RUNS [SEED]]");
        return ExitCode::from(2);
    };
    let mut random = Random(seed.max(1));
    let (mut maps, mut lines) = (0u64, 0u64);
    for _ in 0..runs {
        let text = near(&mut random, &MAPS);
        maps += u64::from(map_holds(&text));
        let text = near(&mut random, &LINES);
        lines += u64::from(line_holds(&text));
    }
    println!(
        "{runs} runs, seed {seed}: nothing found ({maps} maps were valid, {lines} lines without complaint)"
    );
    ExitCode::SUCCESS
}

fn near(random: &mut Random, seeds: &[&str]) -> String {
    let seeds: Vec<&[u8]> = seeds.iter().map(|seed| seed.as_bytes()).collect();
    String::from_utf8_lossy(&mutate::mutated(random, &seeds, &WORDS)).into_owned()
}

/// Whether `text` is a map; asserts that one that is read is whole.
fn map_holds(text: &str) -> bool {
    let Ok(map) = text.parse::<DeviceMap>() else { return false };
    let uuids: BTreeSet<&str> = map.records.iter().map(|record| record.uuid.as_str()).collect();
    assert_eq!(uuids.len(), map.records.len(), "{text:?}");
    assert!(map.records.len() <= MAX_RECORDS, "{text:?}");
    assert!(map.records.iter().all(|record| record.own_file().is_some()), "{text:?}");
    assert!(!uuids.iter().any(|uuid| uuid.contains([',', ' ', '\n', '\0'])), "{text:?}");
    assert_eq!(map.to_string().parse(), Ok(map), "{text:?}");
    true
}

/// Whether `text` is a line of arguments that are all understood; asserts that what is not keeps its default.
fn line_holds(text: &str) -> bool {
    let words = text.split_whitespace();
    let count = words.clone().count();
    let (args, complaints) = Args::parse(words);
    assert!(complaints.len() <= count, "{text:?}");
    assert!(args.map.is_absolute() && !args.set.is_empty(), "{text:?}");
    if complaints.len() == count {
        assert_eq!(args, Args::default(), "{text:?}");
    }
    complaints.is_empty()
}
