//! What exporters are told of a step, and what that costs.

use std::fs;

use crate::host::Node;

/// The plugin's arguments for a node, by which exporters look in its folders.
fn exporters(node: &Node) -> Vec<String> {
    ["dcgm", "gpustat"].map(|name| format!("{name}={}", node.path(name).display())).to_vec()
}

fn run(node: &Node, environment: &[(&str, &str)], arguments: &[String]) -> Vec<String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = node.run(environment, &arguments);
    // slurmd's log begins with the version.
    let quiet = |line: &String| line.starts_with("debug") || line.starts_with("info: [mig] spank_mig ");
    assert!(run.log.iter().all(quiet), "{:?}", run.log);
    run.out
}

/// What the last task saw in the folders, as `FOLDER/NAME:CONTENT`.
fn seen(out: &[String]) -> Vec<&str> {
    out.iter().filter_map(|line| line.strip_prefix("saw ")).collect()
}

#[test]
fn a_step_is_told_of_from_its_first_hook_to_its_last() {
    let Some(node) = Node::new() else { return };
    let arguments = exporters(&node);
    run(&node, &[("FAKE_CONTEXT", "4")], &arguments);
    let place = node.path("").display().to_string();
    let look =
        format!("cd {place} && for f in dcgm/* gpustat/*; do [ ! -f $f ] || echo saw $f:$(cat $f); done");
    let path = ("PATH", "/usr/bin:/bin");
    // Batch scripts have a variable of their own; the other is somebody's.
    let batch = [("FAKE_STEP", "0xfffffffb"), ("SLURM_JOB_GPUS", "0,3"), ("SLURM_STEP_GPUS", "1")];
    let out =
        run(&node, &[&batch[..], &[("FAKE_LOOK", &look), path, ("FAKE_UID", "2000")]].concat(), &arguments);
    assert_eq!(
        seen(&out),
        [
            "dcgm/0:7",
            "dcgm/1.7:7",
            "gpustat/0:7 2000",
            "gpustat/1.7:7 2000",
            "gpustat/GPU-d:7 2000",
            "gpustat/MIG-a:7 2000"
        ]
    );
    assert!(fs::read_dir(node.path("dcgm")).unwrap().next().is_none());
    assert!(fs::read_dir(node.path("gpustat")).unwrap().next().is_none());
    // Slurm's own names: of a node whose devices it has sorted.
    let named =
        [("SLURM_STEP_GPUS", "0,1"), ("CUDA_VISIBLE_DEVICES", "MIG-b,MIG-c"), ("FAKE_CONSTRAINED", "1")];
    let out = run_unjudged(&node, &[&named[..], &[("FAKE_LOOK", &look), path]].concat(), &arguments);
    assert_eq!(seen(&out)[..2], ["dcgm/1.3:7", "dcgm/1.8:7"]);
    // None without devices, and none for the extern step.
    for step in ["0", "0xfffffffc"] {
        let out = run(&node, &[("FAKE_STEP", step), ("FAKE_LOOK", &look), path], &arguments);
        assert_eq!(seen(&out), [""; 0]);
    }
}

/// The same where the task may be refused: the stand-in has no device cgroup.
fn run_unjudged(node: &Node, environment: &[(&str, &str)], arguments: &[String]) -> Vec<String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    node.run(environment, &arguments).out
}

#[test]
fn a_killed_slurmstepd_is_found_out() {
    let Some(node) = Node::new() else { return };
    let arguments = exporters(&node);
    run(&node, &[("FAKE_CONTEXT", "4")], &arguments);
    run(&node, &[("SLURM_STEP_GPUS", "0"), ("FAKE_KILLED", "1")], &arguments);
    assert_eq!(fs::read_to_string(node.path("dcgm/1.7")).unwrap(), "7\n");
    run(&node, &[("SLURM_STEP_GPUS", "1"), ("FAKE_JOB", "8")], &arguments);
    assert!(!node.path("dcgm/1.7").exists(), "by the end of another step");
    assert!(fs::read_dir(node.path("gpustat")).unwrap().next().is_none());
}

#[test]
fn a_step_that_nobody_asked_about_touches_no_file() {
    let Some(node) = Node::new() else { return };
    run(&node, &[("FAKE_CONTEXT", "4")], &[]);
    run(&node, &[("SLURM_STEP_GPUS", "0"), ("FAKE_KILLED", "1")], &[]);
    assert!(!node.path("steps").exists());
}

#[test]
fn slurmd_says_what_exporters_will_miss() {
    let Some(node) = Node::new() else { return };
    let text = fs::read_to_string(node.map()).unwrap();
    let older: String =
        text.lines().filter(|line| !line.starts_with("gpu ")).map(|line| format!("{line}\n")).collect();
    fs::write(node.map(), older).unwrap();
    let arguments = exporters(&node);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let log = node.run(&[("FAKE_CONTEXT", "4")], &arguments).log;
    let said: Vec<_> = log.iter().filter(|line| line.starts_with("error")).collect();
    assert_eq!(said.len(), 1, "{log:?}");
    assert!(said[0].contains("DIR/devices: does not say NVML's index of each GPU"), "{said:?}");
    fs::write(node.map(), text).unwrap();
    fs::create_dir(node.path("open")).unwrap();
    fs::set_permissions(node.path("open"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let log = node.run(&[("FAKE_CONTEXT", "4")], &[&format!("dcgm={}", node.path("open").display())]).log;
    assert!(log.iter().any(|line| line.starts_with("error: [mig] DIR/open: ")), "{log:?}");
}

/// With `FAKE_REPEAT` the stand-in prints medians; `--nocapture` shows them (docs/plugin.md), of so many runs as
/// `FAKE_REPEAT` here says.
#[test]
fn thousands_of_steps_that_are_told_of_leak_nothing() {
    let Some(node) = Node::new() else { return };
    let node = node.of_seven_slices();
    let arguments = exporters(&node);
    run(&node, &[("FAKE_CONTEXT", "4")], &arguments);
    let runs = std::env::var("FAKE_REPEAT").unwrap_or("3000".to_owned());
    for devices in ["", "0", "0,1", "0,1,2,3,4,5,6"] {
        for arguments in [&arguments[..], &arguments[..1], &[]] {
            let environment = [("SLURM_STEP_GPUS", devices), ("FAKE_REPEAT", runs.as_str())];
            let words: Vec<&str> = arguments.iter().map(String::as_str).chain(["notices=off"]).collect();
            let run = node.run(&environment, &words);
            println!("devices {devices:?}, {} exporters: {:?}", arguments.len(), run.out);
            for figure in ["leaked_bytes ", "leaked_files "] {
                let line = run.out.iter().find_map(|line| line.strip_prefix(figure)).unwrap();
                assert!(
                    line.trim().parse::<i64>().unwrap() < 4096 && (figure != "leaked_files " || line == "0"),
                    "{figure}{line}"
                );
            }
        }
    }
}
