//! `lab bench`: what the plugin costs a task launch, beside no plugin and beside the task prologs it replaces.
//!
//! All variants run in turn in one batch script (`assets/launches.sh`), so that whatever else the machine does
//! falls on all of them alike; each launch is compared with the launch without plugin of its own round.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Lab, LabError, Release, Simulated, User, build};

mod figures;
use figures::{Figures, Samples};

/// Rounds in one batch job: a lab gives a job a minute.
const CHUNK: usize = 20;

/// Where the variants lie in the lab.
const FOLDER: &str = "/var/lab/bench";

/// Launches, by how the task comes to its variables.
const VARIANTS: [(&str, &str); 5] = [
    ("none", "no plugin"),
    ("blank", "a C plugin whose hooks do nothing"),
    ("plugin", "spank_mig.so"),
    ("prolog", "TaskProlog: an empty shell script"),
    ("lookup", "TaskProlog: grep in a ready list of UUIDs"),
];

/// Hooks by the process they run in (`enum spank_context` of slurm/spank.h).
const HOOKS: [(&str, u32, &str); 7] = [
    ("slurm_spank_init", 2, "slurm_spank_init in slurmstepd"),
    ("slurm_spank_task_init", 2, "slurm_spank_task_init in slurmstepd"),
    ("load", 2, "loading the plugin in slurmstepd"),
    ("again", 2, "closing it and loading it again"),
    ("slurm_spank_init", 1, "slurm_spank_init in srun"),
    ("load", 1, "loading the plugin in srun"),
    ("again", 1, "closing it and loading it again"),
];

/// Prints the tables of `rounds` rounds with the programs beside this one.
///
/// # Errors
/// What failed, with the daemons' logs where they can say more.
pub fn run(rounds: usize) -> Result<(), LabError> {
    let lab = start()?;
    let mut said = String::new();
    let mut done = 0;
    while done < rounds {
        let chunk = CHUNK.min(rounds - done);
        said.push_str(&launches(&lab, chunk)?);
        done += chunk;
    }
    confirm_variants(&said)?;
    print_launches(&said);
    print_hooks(&lab)?;
    print_memory(&said);
    Ok(())
}

fn start() -> Result<Lab, LabError> {
    let programs = std::env::current_exe().map_err(LabError::file("/proc/self/exe"))?;
    let programs = programs.parent().unwrap_or(Path::new("."));
    let simulated = Simulated {
        gresgen: programs.join("gresgen"),
        simulator: programs.join("libnvml_sim.so"),
        plugin: programs.join("libspank_mig.so"),
        gpus: Simulated::SEVEN_GPUS.to_owned(),
        config: format!("{}{}", Simulated::SEVEN, Simulated::NODE),
    };
    let lab = simulated.node(Release::Bookworm)?;
    let apply = lab.gresgen(&["apply"])?;
    // 6: Slurm is yet to be started.
    if ![0, 6].contains(&apply.code) {
        return Err(unexpected(format!("gresgen apply: exit code {}\n{}", apply.code, apply.stderr)));
    }
    write_variants(&lab)?;
    lab.start_slurm()?;
    Ok(lab)
}

fn write_variants(lab: &Lab) -> Result<(), LabError> {
    let plugin = format!("{}/spank_mig.so", lab.release().plugin_directory());
    let write = |name: &str, text: &str| lab.write_file(&format!("{FOLDER}/{name}"), text);
    write("none.conf", "")?;
    write("blank.conf", &format!("optional {FOLDER}/empty_plugin.so\n"))?;
    // As a site has it: named without a path.
    write("plugin.conf", &lab.read_file("/etc/slurm/plugstack.conf.d/mig.conf")?)?;
    write("timer.conf", &format!("optional {FOLDER}/hook_timer.so {plugin}\n"))?;
    lab.install(&build::hook_timer()?, &format!("{FOLDER}/hook_timer.so"))?;
    lab.install(&build::empty_plugin()?, &format!("{FOLDER}/empty_plugin.so"))?;
    lab.install(&build::started()?, &format!("{FOLDER}/started"))?;
    write("uuids", &uuids(&lab.read_file("/run/gresgen/devices")?))?;
    let lookup = format!(
        "#!/bin/sh\necho \"export CUDA_VISIBLE_DEVICES=$(grep \"^$SLURM_STEP_GPUS \" {FOLDER}/uuids | cut -d' ' -f2)\"\n"
    );
    lab.put(&format!("{FOLDER}/prolog"), "755", b"#!/bin/sh\n")?;
    lab.put(&format!("{FOLDER}/lookup"), "755", lookup.as_bytes())?;
    lab.put(&format!("{FOLDER}/memory"), "755", include_bytes!("../assets/memory.sh"))?;
    write("launches", include_str!("../assets/launches.sh"))?;
    // slurmd starts with the plugin, which is when it keeps the map.
    lab.run(&["ln", "-sfn", &format!("{FOLDER}/plugin.conf"), "/etc/slurm/plugstack.conf"]).map(drop)
}

/// "INDEX UUID" per device, which a site would have some other tool write.
fn uuids(map: &str) -> String {
    let rows = map.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.split(' ').collect();
        Some(format!("{} {}\n", cells.first()?, cells.get(2)?))
    })
    .collect()
}

fn launches(lab: &Lab, rounds: usize) -> Result<String, LabError> {
    let script = format!("exec bash {FOLDER}/launches {rounds} {FOLDER}");
    let job = lab.wait_job(lab.sbatch(User::Root, &["--gres=gpu:1g.5gb:1"], &script)?)?;
    if job.state == "COMPLETED" && !job.output.contains("failed ") {
        Ok(job.output)
    } else {
        Err(unexpected(format!("job {}: {}", job.state, job.output)))
    }
}

/// A variant that does not do its work costs nothing: the plugin and the list give a UUID, nothing else does.
fn confirm_variants(said: &str) -> Result<(), LabError> {
    let given: BTreeMap<_, _> =
        said.lines().filter_map(|line| line.strip_prefix("given ")?.split_once(' ')).collect();
    let is =
        |variant: &str, uuid: bool| given.get(variant).is_some_and(|value| value.starts_with("MIG-") == uuid);
    if is("plugin", true) && is("lookup", true) && is("none", false) && given["plugin"] == given["lookup"] {
        Ok(())
    } else {
        Err(unexpected(format!("the variants gave {given:?}")))
    }
}

fn print_launches(said: &str) {
    println!("srun -n1 --overlap in an allocation of one device; milliseconds");
    for (point, title) in [("started", "until the task runs"), ("ended", "until srun returns")] {
        print_point(said, point, title);
    }
}

/// What each variant takes to a point of the launch, and what it adds to the launch without plugin of its round.
fn print_point(said: &str, point: &str, title: &str) {
    let times = |variant: &str| -> Vec<f64> {
        let row = format!("{point} {variant} ");
        let number = |line: &str| line.strip_prefix(&row)?.parse::<f64>().ok();
        said.lines().filter_map(number).map(|us| us / 1000.0).collect()
    };
    println!(
        "\n| {title} | n | p10 | median | quartiles | mean | SEM | added, median of pairs | 95 % interval |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let base = times("none");
    for (variant, title) in VARIANTS {
        let times = times(variant);
        let Some(figures) = Figures::of(&times) else { continue };
        let pairs: Vec<f64> = times.iter().zip(&base).map(|(with, without)| with - without).collect();
        let added = match (variant, Figures::of(&pairs)) {
            ("none", _) | (_, None) => "| |".to_owned(),
            (_, Some(added)) => format!("{:+.2} | {:+.2} to {:+.2} |", added.median, added.low, added.high),
        };
        println!(
            "| {title} | {} | {:.2} | {:.2} | {:.2} to {:.2} | {:.2} | {:.2} | {added}",
            figures.count,
            figures.p10,
            figures.median,
            figures.quartiles.0,
            figures.quartiles.1,
            figures.mean,
            figures.sem
        );
    }
}

fn print_hooks(lab: &Lab) -> Result<(), LabError> {
    println!("\nInside Slurm's processes; microseconds");
    println!("| what | n | median | quartiles | p99 |\n|---|---|---|---|---|");
    for (name, context, title) in HOOKS {
        let text = lab.read_file(&format!("/var/lab/out/hooks.{context}"))?;
        let number = |line: &str| line.strip_prefix(name)?.trim().parse::<f64>().ok();
        let times: Vec<f64> = text.lines().filter_map(number).map(|ns| ns / 1000.0).collect();
        let Some(figures) = Figures::of(&times) else { continue };
        println!(
            "| {title} | {} | {:.1} | {:.1} to {:.1} | {:.1} |",
            figures.count, figures.median, figures.quartiles.0, figures.quartiles.1, figures.p99
        );
    }
    Ok(())
}

fn print_memory(said: &str) {
    println!("\nResident in slurmstepd while its task runs; KiB, medians");
    println!("| variant | n | resident | private | of these the plugin's file, resident | private |");
    println!("|---|---|---|---|---|---|");
    for (variant, title) in VARIANTS.iter().filter(|(variant, _)| ["none", "plugin"].contains(variant)) {
        let rows: Samples = said
            .lines()
            .filter_map(|line| line.strip_prefix("memory ")?.strip_prefix(variant))
            .map(|row| row.split_whitespace().filter_map(|cell| cell.parse().ok()).collect())
            .collect();
        let median = |column: usize| {
            let values: Vec<f64> = rows.iter().filter_map(|row| row.get(column).copied()).collect();
            Figures::of(&values).map_or(0.0, |figures| figures.median)
        };
        println!(
            "| {title} | {} | {:.0} | {:.0} | {:.0} | {:.0} |",
            rows.len(),
            median(0),
            median(1),
            median(2),
            median(3)
        );
    }
}

fn unexpected(what: String) -> LabError {
    LabError::Command { command: "bench".to_owned(), what }
}
