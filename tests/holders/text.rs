//! Jobs whose owners write what looks like something that Slurm says.

use lab::{LabError, Release, User};

use crate::judge;
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
    ("holds nothing, in the words of a record", OWN_WORDS),
];

/// The words between which a record has what a job holds.
const OWN_WORDS: &str = "x JOB_GRES=gpu:7   Nodes=n1 CPU_IDs=0 Mem=0 GRES= MinCPUsNode=1 y";

/// The same with every device in them.
const OWN_WORDS_WITH_ALL: &str =
    "x JOB_GRES=gpu:7   Nodes=n1 CPU_IDs=0 Mem=0 GRES=gpu:7(IDX:0-6) MinCPUsNode=1 y";

/// Where it is written, with the first release that has the option. sbatch takes any text for all of them (tried on 22.05.8
/// and 26.05.5), slurmctld prints most.
const FIELDS: &[(&str, Release)] = &[
    ("--comment", Release::Bookworm),
    ("--job-name", Release::Bookworm),
    ("--chdir", Release::Bookworm),
    ("--output", Release::Bookworm),
    ("--error", Release::Bookworm),
    ("ARGUMENT", Release::Bookworm),
    ("--wckey", Release::Bookworm),
    ("--account", Release::Bookworm),
    ("--network", Release::Bookworm),
    ("--mcs-label", Release::Bookworm),
    ("--cluster-constraint", Release::Bookworm),
    ("--mail-user", Release::Bookworm),
    ("--bb", Release::Bookworm),
    ("--qos", Release::Bookworm),
    ("--extra", Release::Trixie),
];

/// All fields of a release.
fn fields(release: Release) -> Vec<&'static str> {
    FIELDS.iter().filter(|(_, since)| *since as u8 <= release as u8).map(|(field, _)| *field).collect()
}

#[test]
fn every_text_that_an_owner_writes() {
    let mut rows: Vec<_> = LIES
        .iter()
        .enumerate()
        .map(|(number, (what, lie))| {
            // Every other one as an array, of which each task has the text.
            let (array, count): (&[_], _) = if number % 2 == 0 { (&["--array=0-1"], 2) } else { (&[], 1) };
            Holder::new(&format!("text everywhere: {what}"), move |site| {
                submit(site, &[array, &[LARGE]].concat(), &fields(site.lab.release()), lie)?;
                named(site, count)
            })
        })
        .collect();
    for (field, _) in &FIELDS[..6] {
        rows.push(Holder::new(&format!("text in {field}"), move |site| {
            submit(site, &[LARGE], &[field], LIES[0].1)?;
            named(site, 1)
        }));
    }
    rows.push(Holder::new("text of 64 kB", |site| {
        submit(site, &[LARGE], &["ARGUMENT"], &"\nNodes=n1 GRES=none ".repeat(3300))?;
        named(site, 1)
    }));
    rows.push(Holder::new("text that is none", |site| {
        // No UTF-8; 9b begins a sequence on its own to a terminal of eight bits.
        let bytes = r"$'\xff\x9b2J \xc3 GRES=none\xfe'";
        job_script(site, "exec lab-witness")?;
        let line =
            format!("sbatch -wn1 {LARGE} --output=/dev/null -J{bytes} --comment={bytes} {SCRIPT} {bytes}");
        site.begin(site.lab.command(&["bash", "-c", &line]).user(User::Alice))?;
        named(site, 1)
    }));
    rows.push(
        Holder::new("job in a reservation whose name looks like one of its lines", |site| {
            site.sh(&format!(
                "scontrol create reservation ReservationName='{RESERVATION}' Nodes=n1 StartTime=now Duration=60 \
                 Users=alice,root"
            ))?;
            submit(site, &[LARGE, &format!("--reservation={RESERVATION}")], &["--comment"], LIES[0].1)?;
            named(site, 1)
        })
        .let_go(|site| {
            site.go()?;
            site.lab.wait("the job to end", || {
                Ok(site.lab.run(&["squeue", "-h"])?.stdout.is_empty().then_some(()))
            })?;
            site.sh(&format!("scontrol delete ReservationName='{RESERVATION}'")).map(drop)
        }),
    );
    rows.push(Holder::new("beside a job that says it holds all", |site| {
        submit(site, &[], &fields(site.lab.release()), LIES[7].1)?;
        honest(site)
    }));
    rows.push(Holder::new("beside a job that begins a record", |site| {
        submit(site, &[], &fields(site.lab.release()), LIES[9].1)?;
        honest(site)
    }));
    table::run(&Setup::USUAL, &rows);
}

/// Nobody keeps a device from being changed by writing that he holds it.
#[test]
fn a_text_holds_nothing() {
    for release in Release::selected() {
        let Some(site) = Site::start(release, &Setup::USUAL) else { return };
        let claims =
            ["x Nodes=n1 CPU_IDs=0 Mem=0 GRES=gpu:7(IDX:0-6) y", LIES[7].1, LIES[9].1, OWN_WORDS_WITH_ALL];
        for claim in claims {
            submit(&site, &[], &fields(release), claim).unwrap();
        }
        site.wait_jobs("R", claims.len()).unwrap();
        let answer = site.gresgen(&["--layout", "without-0-0", "apply"], &[]);
        assert_eq!(answer.code, 6, "{release}: {}{}", answer.stdout, answer.stderr);
    }
}

const LARGE: &str = "--gres=gpu:3g.20gb:1";

const RESERVATION: &str = "x StartTime=0 Nodes=n9 Flags=SPEC_NODES GRES=none y";

const SCRIPT: &str = "/var/lab/out/job.sh";

fn honest(site: &Site) -> Result<Held, LabError> {
    site.sbatch(&["-wn1", LARGE], "exec lab-witness")?;
    named(site, 1)
}

/// What so many tasks hold, once `status` names them.
fn named(site: &Site, count: usize) -> Result<Held, LabError> {
    let held = Held::by_tasks(site, site.wait_witnesses(count)?);
    let status = site.gresgen(&["status", "-v"], &[]);
    for (names, _) in &held.holders {
        let (job, row) = (&names[0], |line: &&str| line.contains("3g.20gb"));
        let shown =
            status.stdout.lines().filter(row).any(|line| line.contains(&format!("job {job} (user alice)")));
        assert!(shown, "job {job} of alice is not shown: {}{}", status.stdout, status.stderr);
    }
    assert_eq!(judge::raw(&status), None, "{status:?}");
    Ok(held)
}

fn job_script(site: &Site, script: &str) -> Result<(), LabError> {
    site.lab.write_file(SCRIPT, format!("#!/bin/sh\n{script}\n"))
}

/// Submits a job that writes `lie` in each of `fields`. One without devices has no witness.
fn submit(site: &Site, arguments: &[&str], fields: &[&str], lie: &str) -> Result<(), LabError> {
    let mut line = vec!["sbatch".to_owned(), "--parsable".to_owned(), "-wn1".to_owned()];
    line.extend(arguments.iter().map(|&argument| argument.to_owned()));
    for field in fields.iter().filter(|field| field.starts_with("--")) {
        line.push(match *field {
            "--chdir" => {
                let folder = format!("/var/lab/out/{lie}");
                site.lab.run(&["mkdir", "-p", "-m", "777", &folder])?;
                format!("{field}={folder}")
            }
            "--output" | "--error" => format!("{field}=/var/lab/out/{lie} {}", &field[2..]),
            _ => format!("{field}={lie}"),
        });
    }
    if !fields.contains(&"--output") {
        line.push("--output=/dev/null".to_owned());
    }
    job_script(site, if arguments.is_empty() { "exec sleep 300" } else { "exec lab-witness" })?;
    line.push(SCRIPT.to_owned());
    line.extend(fields.contains(&"ARGUMENT").then(|| lie.to_owned()));
    let words: Vec<&str> = line.iter().map(String::as_str).collect();
    site.lab.submit(site.lab.command(&words).user(User::Alice)).map(drop)
}
