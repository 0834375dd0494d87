//! `make demo` and `make playground`, as the reader of README.md runs them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Output, Stdio};

use crate::node::build;

/// Columns of a terminal that nobody has widened.
const COLUMNS: usize = 80;

/// What the person at the playground types, for both shells. srun would read the rest of it, so it gets other input.
const TYPED: &str = r#"id -un
srun --gres=gpu:1g.5gb:1 sh -c 'echo $CUDA_VISIBLE_DEVICES' < /dev/null
gresgen apply 2>&1 | head -n 1
exit
id -un
sed -i 's/1g.5gb: 4/1g.5gb: 2/' /etc/gresgen/config.yaml
gresgen --quiet apply --slurm=apply && sinfo --noheader --format=%G
exit
"#;

/// Whether no lab can run here, which the caller accepted.
fn unavailable(output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stderr).contains("lab: unavailable");
    said && std::env::var("LAB_SKIP").as_deref() == Ok("1")
}

#[test]
fn the_demo_shows_that_jobs_are_kept_apart() {
    let programs = build();
    let output = Command::new(programs.path().join("lab")).arg("demo").output().unwrap();
    if unavailable(&output) {
        return;
    }
    let (said, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.ends_with("\ndemo: ok\n"), "{said}{errors}");
    let rows: Vec<&str> = said.lines().filter(|line| line.contains("✓")).collect();
    assert_eq!(rows.len(), 10, "{said}");
    let others = |row: &&str| row.ends_with(" 6 others") || row.ends_with(" 5 others");
    assert!(rows[..8].iter().all(others), "{said}");
    // One on what was cut for it, one beside it all the while, each denied what the other has.
    assert!(rows[8..].iter().all(|row| row.ends_with(" 11 others")), "{said}");
    assert!(rows[8].contains(" 3g.20gb ") && rows[9].contains(" 1g.5gb "), "{said}");
    // What `gresgen plan` prints is gresgen's to keep narrow.
    let (header, rest) = said.split_once("root# gresgen plan\n").unwrap();
    let (_, jobs) = rest.split_once("root# gresgen --quiet apply\n").unwrap();
    let own = header.lines().chain(jobs.lines());
    let wide: Vec<&str> = own.filter(|line| line.chars().count() > COLUMNS).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn a_demo_whose_reader_leaves_ends_without_a_word() {
    let programs = build();
    let mut demo = Command::new(programs.path().join("lab"));
    let mut demo = demo.arg("demo").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(demo.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("A private node"), "{first}");
    let output = demo.wait_with_output().unwrap();
    if !unavailable(&output) {
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(141), ""));
    }
}

#[test]
fn the_playground_has_a_user_and_an_admin() {
    let programs = build();
    let mut playground = Command::new(programs.path().join("lab"));
    playground.arg("playground").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut playground = playground.spawn().unwrap();
    // Where no lab can run nobody reads it.
    let _ = playground.stdin.take().unwrap().write_all(TYPED.as_bytes());
    let output = playground.wait_with_output().unwrap();
    if unavailable(&output) {
        return;
    }
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{told}");
    let lines: Vec<&str> = said.lines().collect();
    let [alice, slice, refused, root, types] = lines[..] else { panic!("{said}{told}") };
    assert_eq!((alice, root, types), ("alice", "root", "gpu:1g.5gb:3,gpu:2g.10gb:1,gpu:3g.20gb:1"));
    assert!(slice.starts_with("MIG-") && refused.starts_with("error: "), "{said}");
    assert!(told.lines().all(|line| line.chars().count() <= COLUMNS), "{told}");
}
