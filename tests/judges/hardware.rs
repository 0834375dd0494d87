//! The simulator against what real boards answered: `hardware/<key>.txt`, a line per question.

use std::fs;
use std::sync::Arc;

use nvml_sim::Store;
use nvml_sim::ask::{MAY_DIFFER, differences};
use nvml_sim::code::{Answer, Code};

use crate::fetched::must;
use crate::{Bench, scripts};

/// What `nvml-ask` prints of GPU 0.
fn asked(bench: &Bench) -> String {
    must(&mut bench.command(env!("CARGO_BIN_EXE_nvml-ask")), "build the package nvml-sim")
}

fn recorded(key: &str) -> String {
    fs::read_to_string(scripts().join(format!("hardware/{key}.txt"))).unwrap()
}

/// The boards were asked in virtual machines that they were passed through to.
fn simulated(key: &str) -> String {
    asked(&Bench::new(&format!("{key}:1:passthrough")))
}

/// Boards whose answers were recorded.
fn boards() -> Vec<String> {
    let files = fs::read_dir(scripts().join("hardware")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_suffix(".txt")?.to_owned())).collect()
}

#[test]
fn the_simulator_answers_as_the_boards_did() {
    let boards = boards();
    assert!(boards.len() >= 2, "{boards:?}");
    for key in boards {
        let (board, simulator) = (recorded(&key), simulated(&key));
        assert!(board.lines().count() > 150, "{key}: the recording is cut short");
        let found = differences(&board, &simulator);
        assert!(found.is_empty(), "{key}:\n{}", found.join("\n"));
        for (name, reason) in MAY_DIFFER {
            let line = |text: &str| text.lines().any(|line| line.starts_with(&format!("{name} = ")));
            assert!(
                line(&board) && line(&simulator),
                "{key}: {name} may differ ({reason}), but is not there"
            );
        }
    }
}

/// The comparison is no rubber stamp.
#[test]
fn another_board_is_told_apart() {
    let found = differences(&recorded("h100-80gb-sxm"), &simulated("h200-141gb"));
    let all = found.join("\n");
    for key in ["Name", "MemoryBusWidth", "pci ids", "memory v2", "profile 1 v1", "profile by id 9"] {
        assert!(found.iter().any(|line| line.starts_with(&format!("{key}: "))), "{key} in\n{all}");
    }
}

/// With MIG on the questions reach the instances; this is what a contributor's board would be compared with.
#[test]
fn instances_are_asked_about_where_there_are_some() {
    let bench = Bench::new("h100-80gb-sxm");
    asked(&bench);
    let store = Store::open(&bench.root(), None).unwrap();
    let cut = |snapshot: &mut nvml_sim::Snapshot| -> Answer {
        let machine = Arc::make_mut(&mut snapshot.machine);
        machine.set_mode(0, true, &snapshot.clients)??;
        let half = machine.create_instance(0, 9, None, &snapshot.clients)?;
        machine.create_compute(0, half, 2, None)?;
        let double = machine.create_instance(0, 15, None, &snapshot.clients)?;
        machine.create_compute(0, double, 0, None)?;
        Ok(())
    };
    store.change(cut).unwrap().unwrap();
    let said = asked(&bench);
    let of_instances = |line: &&str| line.starts_with("gi ") || line.starts_with("MIG device ");
    let lines: Vec<&str> = said.lines().filter(of_instances).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn every_simulated_board_answers_every_question() {
    for key in nvml_sim::Spec::keys() {
        let said = asked(&Bench::new(key));
        assert!(!said.contains(&Code::FUNCTION_NOT_FOUND.to_string()), "{key}:\n{said}");
        assert!(!said.contains(&Code::UNKNOWN.to_string()), "{key}:\n{said}");
    }
}

/// Exit statuses and what is said: 1 nothing could be asked, 2 the arguments, 3 a difference.
#[test]
fn the_asker_says_what_is_wrong_with_its_arguments_library_and_gpu() {
    let bench = Bench::new("h100-80gb-sxm");
    let board = scripts().join("hardware/h100-80gb-sxm.txt");
    let other = scripts().join("hardware/h200-141gb.txt");
    let (board, other) = (board.to_str().unwrap(), other.to_str().unwrap());
    let mut texts = Vec::new();
    for (arguments, status) in [
        (&["--gpu"][..], 2),
        (&["--gpu", "one"], 2),
        (&["--change"], 2),
        (&["--gpu", "1"], 1),
        (&["--lib", "/no/such/library.so"], 1),
        (&["--compare", board, "/no/such/file"], 1),
        (&["--compare", board, other], 3),
        (&["--compare", board, board], 0),
    ] {
        let output = bench.command(env!("CARGO_BIN_EXE_nvml-ask")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        let said = String::from_utf8(if status == 3 { Vec::new() } else { output.stdout }).unwrap()
            + &String::from_utf8(output.stderr).unwrap();
        texts.push(format!("{arguments:?} {status}\n{said}").replace(scripts().to_str().unwrap(), "JUDGES"));
    }
    insta::assert_snapshot!(texts.join("\n"));
}
