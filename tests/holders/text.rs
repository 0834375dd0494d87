//! Jobs whose owners write what looks like something that Slurm says.

use lab::{LabError, User};

use crate::site::{Setup, Site};
use crate::table::{self, Held, Holder};

/// What is written, by what it is to do.
const LIES: &[(&str, &str)] = &[
    ("holds nothing", "x Nodes=n1 CPU_IDs=0 Mem=0 GRES=none y"),
    ("holds an unknown device", "x Nodes=n1 CPU_IDs=0 Mem=0 GRES=gpu:1g.5gb:1(IDX:N-A) y"),
    ("holds another device", "x Nodes=n1 CPU_IDs=0 Mem=0 GRES=gpu:1g.5gb:1(IDX:3) y"),
    ("is elsewhere", "x NodeList=n2 BatchHost=n2 Nodes=n2 CPU_IDs=0 Mem=0 GRES= y"),
    ("has ended", "x JobState=COMPLETED ExitCode=0:0 EndTime=2000-01-01T00:00:00 y"),
    ("is another's", "x UserId=root(0) GroupId=root(0) y"),
    ("is another job", "x JobId=4711 ArrayJobId=4711 ArrayTaskId=0 HetJobId=4711 y"),
    ("holds all there could be", "x Nodes=n1 CPU_IDs=0 Mem=0 GRES=gpu:1(IDX:0-18446744073709551614) y"),
    ("holds more than fits", "x Nodes=n1 CPU_IDs=0 Mem=0 GRES=gpu:1(IDX:0-20000000) y"),
    (
        "begins a record",
        "x\nJobId=4711 JobName=y UserId=root(0) JobState=RUNNING Nodes=n1 GRES=gpu:1(IDX:0)\n",
    ),
    ("ends a record", "x\n\n   Nodes=n1 CPU_IDs=0 Mem=0 GRES=none\n\n"),
    ("writes to the terminal", "x\u{1b}]0;y\u{7}\u{1b}[2J\r\u{202e} Nodes=n1 GRES=none"),
    ("has the separators of a list", "x|n1|gpu:0|,y;z\t(IDX:) '\" %j %A\\"),
];

/// Where it is written.
const FIELDS: &[&str] = &["--comment", "--job-name", "--chdir", "--output", "--error", "ARGUMENT"];

#[test]
fn every_text_that_an_owner_writes() {
    let mut rows: Vec<_> = LIES
        .iter()
        .map(|(what, lie)| {
            Holder::new(&format!("text everywhere: {what}"), move |site| lying(site, FIELDS, lie))
        })
        .collect();
    for field in FIELDS {
        rows.push(Holder::new(&format!("text in {field}"), move |site| {
            lying(site, std::slice::from_ref(field), LIES[0].1)
        }));
    }
    rows.push(Holder::new("beside a job that says it holds all", |site| {
        submit(site, &[], FIELDS, LIES[7].1)?;
        honest(site)
    }));
    rows.push(Holder::new("beside a job that begins a record", |site| {
        submit(site, &[], FIELDS, LIES[9].1)?;
        honest(site)
    }));
    table::run(&Setup::USUAL, &rows);
}

/// Nobody keeps a device from being changed by writing that he holds it.
#[test]
fn a_text_holds_nothing() {
    for release in lab::Release::selected() {
        for claim in ["x Nodes=n1 CPU_IDs=0 Mem=0 GRES=gpu:7(IDX:0-6) y", LIES[7].1, LIES[9].1] {
            let Some(site) = Site::start(release, &Setup::USUAL) else { return };
            submit(&site, &[], FIELDS, claim).unwrap();
            site.wait_jobs("R", 1).unwrap();
            let answer = site.gresgen(&["--layout", "without-0-0", "apply"], &[]);
            assert_eq!(answer.code, 6, "{release}: {claim:?}: {}{}", answer.stdout, answer.stderr);
        }
    }
}

fn honest(site: &Site) -> Result<Held, LabError> {
    site.sbatch(&["-wn1", "--gres=gpu:3g.20gb:1"], "exec lab-witness")?;
    let tasks = site.wait_witnesses(1)?;
    Ok(Held::by_tasks(site, tasks))
}

fn lying(site: &Site, fields: &[&str], lie: &str) -> Result<Held, LabError> {
    submit(site, &["--gres=gpu:3g.20gb:1"], fields, lie)?;
    let tasks = site.wait_witnesses(1)?;
    Ok(Held::by_tasks(site, tasks))
}

/// Submits a job that writes `lie` in each of `fields`. One without devices has no witness.
fn submit(site: &Site, arguments: &[&str], fields: &[&str], lie: &str) -> Result<(), LabError> {
    let mut line = vec!["sbatch".to_owned(), "--parsable".to_owned(), "-wn1".to_owned()];
    line.extend(arguments.iter().map(|&argument| argument.to_owned()));
    let folder = format!("/var/lab/out/{lie}");
    for field in fields.iter().filter(|field| field.starts_with("--")) {
        line.push(match *field {
            "--chdir" => format!("{field}={folder}"),
            "--output" | "--error" => format!("{field}=/var/lab/out/{lie} {}", &field[2..]),
            _ => format!("{field}={lie}"),
        });
    }
    if !fields.contains(&"--output") {
        line.push("--output=/dev/null".to_owned());
    }
    let script = if arguments.is_empty() { "exec sleep 300" } else { "exec lab-witness" };
    site.lab.write_file("/var/lab/out/job.sh", format!("#!/bin/sh\n{script}\n"))?;
    line.push("/var/lab/out/job.sh".to_owned());
    line.extend(fields.contains(&"ARGUMENT").then(|| lie.to_owned()));
    site.lab.run(&["mkdir", "-p", "-m", "777", &folder])?;
    let words: Vec<&str> = line.iter().map(String::as_str).collect();
    site.lab.submit(site.lab.command(&words).user(User::Alice)).map(drop)
}
