//! Jobs before their first task and after their last: in a Prolog, in an Epilog.

use lab::{JobId, LabError};

use crate::site::{Setup, Site};
use crate::table::{self, Held, Holder};
use crate::verbs::Devices;

/// Stays for as long as a file of its name is there.
const STAGE: &str = "#!/bin/sh
touch /var/lab/out/in-${0##*/}
while [ -e /var/lab/out/stay-${0##*/} ]; do sleep 0.05; done
";

const SCRIPTS: &[(&str, &str)] = &[
    ("/var/lab/bin/prolog", STAGE),
    ("/var/lab/bin/epilog", STAGE),
    ("/var/lab/bin/prolog-slurmctld", STAGE),
    ("/var/lab/bin/epilog-slurmctld", STAGE),
];

const LARGE: &str = "--gres=gpu:3g.20gb:2";

fn setup(slurm_conf: &'static str) -> Setup {
    Setup { slurm_conf, scripts: SCRIPTS, ..Setup::USUAL }
}

#[test]
fn stages_of_a_job() {
    let setup = setup(
        "Prolog=/var/lab/bin/prolog\nEpilog=/var/lab/bin/epilog\nPrologSlurmctld=/var/lab/bin/prolog-slurmctld\n\
         EpilogSlurmctld=/var/lab/bin/epilog-slurmctld",
    );
    table::run(
        &setup,
        &[
            before("in the Prolog of a batch job", "prolog"),
            before("in the Prolog of slurmctld", "prolog-slurmctld"),
            after("in the Epilog", "epilog"),
            Holder::new("in the Epilog, to be requeued", |site| {
                let id = staying(site, "epilog", &["--requeue"])?;
                site.wait_witnesses(1)?;
                site.sh(&format!("scontrol requeuehold {id}"))?;
                reached(site, "epilog")?;
                Ok(Held::by_job(id, Devices::large()))
            })
            .let_go(go_on),
        ],
    );
}

#[test]
fn prolog_at_the_allocation() {
    let setup = setup("Prolog=/var/lab/bin/prolog\nPrologFlags=Alloc");
    table::run(&setup, &[before("in the Prolog, PrologFlags=Alloc", "prolog")]);
}

#[test]
fn prolog_at_the_allocation_with_an_extern_step() {
    let setup = setup("Prolog=/var/lab/bin/prolog\nEpilog=/var/lab/bin/epilog\nPrologFlags=Contain");
    let rows = [
        before("in the Prolog, PrologFlags=Contain", "prolog"),
        after("in the Epilog, PrologFlags=Contain", "epilog"),
        Holder::new("extern step alone", |site| {
            let salloc = ["salloc", "--no-shell", "-wn1", LARGE];
            site.begin(site.lab.command(&salloc).user(lab::User::Alice))?;
            site.wait_jobs("R", 1)?;
            let id = site.lab.run(&["squeue", "-h", "-o", "%A"])?.stdout.trim().parse().expect("a job");
            Ok(Held::by_job(id, Devices::large()))
        }),
    ];
    table::run(&setup, &rows);
}

/// A job that has not come to its first task.
fn before(name: &str, stage: &'static str) -> Holder {
    Holder::new(name, move |site| {
        let id = staying(site, stage, &[])?;
        reached(site, stage)?;
        Ok(Held::by_job(id, Devices::large()))
    })
    .let_go(|site| {
        go_on(site)?;
        // It has its devices now; that they open is told by its witness.
        let tasks = site.wait_witnesses(1)?;
        assert_eq!(site.held(&tasks), Devices::large(), "{tasks:?}");
        Ok(())
    })
}

/// A job that has left its last task behind.
fn after(name: &str, stage: &'static str) -> Holder {
    Holder::new(name, move |site| {
        let id = staying(site, stage, &[])?;
        site.wait_witnesses(1)?;
        site.go()?;
        reached(site, stage)?;
        Ok(Held::by_job(id, Devices::large()))
    })
    .let_go(go_on)
}

fn staying(site: &Site, stage: &str, arguments: &[&str]) -> Result<JobId, LabError> {
    site.sh(&format!("touch /var/lab/out/stay-{stage}"))?;
    site.sbatch(&[&["-wn1", LARGE], arguments].concat(), "exec lab-witness")
}

fn reached(site: &Site, stage: &str) -> Result<(), LabError> {
    let file = format!("/var/lab/out/in-{stage}");
    site.lab.wait(&format!("the job to be in its {stage}"), || {
        Ok(site.lab.command(&["test", "-e", &file]).output()?.success().then_some(()))
    })
}

fn go_on(site: &Site) -> Result<(), LabError> {
    site.sh("rm -f /var/lab/out/stay-*").map(drop)
}
