//! Job arrays: Slurm gives the array's own number to one of its tasks, and the others numbers of their own.

use lab::LabError;

use crate::site::{Setup, Site};
use crate::table::{self, Held, Holder};

/// Tasks that end at once unless they are one of `STAYING`.
const SOME_STAY: &str = "case $SLURM_ARRAY_TASK_ID in STAYING) exec lab-witness ;; esac";

#[test]
fn every_form_of_an_array() {
    let small = "--gres=gpu:1g.5gb:1";
    table::run(
        &Setup::USUAL,
        &[
            array("all tasks of an array", "0-3", small, "[0-3]", 4),
            array("last task of an array", "0-2", small, "2", 1),
            array("first task of an array", "0-2", small, "0", 1),
            array("tasks of an array with one ended between", "0-2", small, "[02]", 2),
            array("tasks of an array from 10 on in steps", "10-30:10", small, "*", 3),
            array("array of one task at a time", "0-3%1", small, "*", 1),
            array("array of two tasks at a time", "0-5%2", small, "*", 2),
            array("array with tasks that wait for devices", "0-5", "--gres=gpu:3g.20gb:1", "*", 2),
            array("array of tasks with several devices", "0-1", "--gres=gpu:1g.5gb:1,gpu:3g.20gb:1", "*", 2),
            array("array of whole GPUs", "0-1", "--gres=gpu:a100:1", "*", 1),
            Holder::new("array with a task cancelled", |site| {
                let id = site.sbatch(&["-wn1", "--array=0-2", "--gres=gpu:1g.5gb:1"], "exec lab-witness")?;
                site.wait_witnesses(3)?;
                site.sh(&format!("scancel {id}_1"))?;
                stay(site, 2)
            }),
            Holder::new("array whose last task was cancelled", |site| {
                let id = site.sbatch(&["-wn1", "--array=0-2", "--gres=gpu:1g.5gb:1"], "exec lab-witness")?;
                site.wait_witnesses(3)?;
                site.sh(&format!("scancel {id}_2"))?;
                stay(site, 2)
            }),
        ],
    );
}

fn array(name: &str, tasks: &'static str, gres: &'static str, staying: &'static str, count: usize) -> Holder {
    Holder::new(name, move |site| {
        let script = SOME_STAY.replace("STAYING", staying);
        site.sbatch(&["-wn1", &format!("--array={tasks}"), gres], &script)?;
        site.wait_witnesses(count)?;
        stay(site, count)
    })
}

/// Waits until as many jobs run as are to stay.
fn stay(site: &Site, count: usize) -> Result<Held, LabError> {
    site.wait_jobs("R", count)?;
    site.lab.wait("nobody to complete", || {
        Ok(site.lab.run(&["squeue", "-h", "-r", "-t", "CG"])?.stdout.is_empty().then_some(()))
    })?;
    // Those that have ended reported, too.
    let running = site.lab.run(&["squeue", "-h", "-r", "-t", "R", "-o", "%A"])?.stdout;
    let running: Vec<&str> = running.lines().map(str::trim).collect();
    let mut tasks = site.witnesses()?;
    tasks.retain(|task| running.contains(&task.names[0].as_str()));
    Ok(Held::by_tasks(site, tasks))
}
