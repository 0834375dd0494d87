//! What a task gets, and what stops it.

use crate::host::{Node, Run};

const BATCH: (&str, &str) = ("FAKE_STEP", "0xfffffffb");
const INTERACTIVE: (&str, &str) = ("FAKE_STEP", "0xfffffffa");
const EXTERN: (&str, &str) = ("FAKE_STEP", "0xfffffffc");

/// The run of a task that started, with these variables.
fn started(variables: &[&str]) -> Run {
    let mut out = vec!["plugin spank_mig spank 0x160500".to_owned(), "init 0".into(), "task_init 0".into()];
    out.extend(variables.iter().map(|v| (*v).to_owned()));
    out.push("task exit 0".into());
    Run { out, log: Vec::new() }
}

/// The run of a task that was ended before its program.
fn ended(log: &[&str]) -> Run {
    let out = ["plugin spank_mig spank 0x160500", "init 0", "task exit 1"].map(str::to_owned).to_vec();
    Run { out, log: log.iter().map(|l| (*l).to_owned()).collect() }
}

#[test]
fn each_kind_of_step_is_read_from_its_own_variable() {
    let Some(node) = Node::new() else { return };
    let both = [("SLURM_JOB_GPUS", "1"), ("SLURM_STEP_GPUS", "0"), ("CUDA_VISIBLE_DEVICES", "0")];
    let with = |kind| node.run(&[&both[..], &[kind]].concat(), &[]);
    assert_eq!(with(BATCH), started(&["CUDA_VISIBLE_DEVICES=MIG-b"]));
    assert_eq!(with(INTERACTIVE), started(&["CUDA_VISIBLE_DEVICES=MIG-b"]));
    assert_eq!(with(("FAKE_STEP", "3")), started(&["CUDA_VISIBLE_DEVICES=MIG-a"]));
    assert_eq!(with(EXTERN), started(&["CUDA_VISIBLE_DEVICES=0"]));
}

#[test]
fn the_other_variable_is_never_a_substitute() {
    let Some(node) = Node::new() else { return };
    assert_eq!(node.run(&[("SLURM_JOB_GPUS", "1")], &[]), started(&[]));
    assert_eq!(node.run(&[BATCH, ("SLURM_STEP_GPUS", "1")], &[]), started(&[]));
}

#[test]
fn devices_come_in_the_order_of_their_index() {
    let Some(node) = Node::new() else { return };
    let run = node.run(&[("SLURM_STEP_GPUS", "3,0")], &[]);
    assert_eq!(run, started(&["CUDA_VISIBLE_DEVICES=MIG-a,GPU-d"]));
}

#[test]
fn containers_get_their_variable_on_request() {
    let Some(node) = Node::new() else { return };
    let run = node.run(&[("SLURM_STEP_GPUS", "2")], &["set=cuda,nvidia"]);
    assert_eq!(run, started(&["CUDA_VISIBLE_DEVICES=MIG-c", "NVIDIA_VISIBLE_DEVICES=MIG-c"]));
    let run = node.run(&[("SLURM_STEP_GPUS", "2"), ("CUDA_VISIBLE_DEVICES", "2")], &["set=nvidia"]);
    assert_eq!(run, started(&["CUDA_VISIBLE_DEVICES=2", "NVIDIA_VISIBLE_DEVICES=MIG-c"]));
}

#[test]
fn users_choose_by_option_before_variable() {
    let Some(node) = Node::new() else { return };
    let base = [("SLURM_STEP_GPUS", "0,1"), ("CUDA_VISIBLE_DEVICES", "0,1"), ("FAKE_TASK", "1")];
    let with = |more: &[(&str, &str)]| {
        let mut run = node.run(&[&base[..], more].concat(), &[]);
        run.out.retain(|line| line != "option 0");
        run
    };
    let both = started(&["CUDA_VISIBLE_DEVICES=MIG-a,MIG-b"]);
    let second = started(&["CUDA_VISIBLE_DEVICES=MIG-b"]);
    assert_eq!(with(&[]), both);
    assert_eq!(with(&[("SPANK_MIG_PER_TASK", "one")]), second);
    assert_eq!(with(&[("FAKE_OPTION", "mig-per-task=one")]), second);
    assert_eq!(with(&[("SPANK_MIG_PER_TASK", "one"), ("FAKE_OPTION", "mig-per-task=all")]), both);
    assert_eq!(with(&[("SPANK_MIG_DEVICES", "index")]), started(&["CUDA_VISIBLE_DEVICES=0,1"]));
    assert_eq!(with(&[("FAKE_OPTION", "mig-devices=none")]), started(&[]));
    // One task of the step says what was not understood.
    let run = with(&[("SPANK_MIG_DEVICES", "uid")]);
    assert_eq!((run.out, run.log), (both.out.clone(), vec![]));
    let run = with(&[("SPANK_MIG_DEVICES", "uid"), ("FAKE_TASK", "0")]);
    assert_eq!(run.out, both.out);
    assert_eq!(run.log[..1], ["[mig] SPANK_MIG_DEVICES: \"uid\" is not uuid, index or none"]);
}

#[test]
fn a_wrong_option_stops_the_command_not_the_job() {
    let Some(node) = Node::new() else { return };
    let wrong = ("FAKE_OPTION", "mig-devices=uid");
    let run = node.run(&[("FAKE_CONTEXT", "1"), wrong], &[]);
    assert_eq!(run.out[1..], ["init 0", "option -1"]);
    assert_eq!(run.log, ["error: [mig] --mig-devices: \"uid\" is not uuid, index or none"]);
    let run = node.run(&[("SLURM_STEP_GPUS", "0"), wrong], &[]);
    assert_eq!(run.out[2..], ["option 0", "task_init 0", "CUDA_VISIBLE_DEVICES=MIG-a", "task exit 0"]);
}

#[test]
fn several_mig_devices_are_noticed_once_and_not_against_orders() {
    let Some(node) = Node::new() else { return };
    let notice = "[mig] this task has 2 MIG devices; CUDA of drivers before R570 uses only the first (--mig-per-task=one gives each task one)";
    let several = ("SLURM_STEP_GPUS", "0,1");
    assert_eq!(node.run(&[several], &[]).log, [notice]);
    assert!(node.run(&[several, ("FAKE_TASK", "1")], &[]).log.is_empty());
    assert!(node.run(&[several], &["notices=off"]).log.is_empty());
    assert!(node.run(&[several, ("SPANK_MIG_PER_TASK", "one")], &[]).log.is_empty());
}

#[test]
fn a_task_whose_devices_cannot_be_resolved_does_not_run() {
    let Some(node) = Node::new() else { return };
    let beyond = "[mig] device 4: the device map ends after 4 devices; restart slurmd after gresgen apply";
    assert_eq!(node.run(&[("SLURM_STEP_GPUS", "4")], &[]), ended(&[beyond]));
    let list = "[mig] SLURM_STEP_GPUS=\"all\" is no list of device indexes";
    assert_eq!(node.run(&[("SLURM_STEP_GPUS", "all")], &[]), ended(&[list]));
    std::fs::write(node.copy(), "garbage\n").unwrap();
    let garbage = "[mig] DIR/devices.slurmd: line 1: not a device map: no \"gresgen-devices\" line";
    let given = ("SLURM_STEP_GPUS", "0");
    assert_eq!(node.run(&[given], &[]), ended(&[garbage]));
    // A slice that is called by the UUID of its GPU would give the task all of that.
    let map = std::fs::read_to_string(node.map()).unwrap();
    std::fs::write(node.copy(), map.replace("MIG-a", "GPU-p")).unwrap();
    let whole = "[mig] DIR/devices.slurmd: line 8: the UUID \"GPU-p\" is not MIG-...";
    assert_eq!(node.run(&[given], &[]), ended(&[whole]));
    std::fs::write(node.copy(), "garbage\n").unwrap();
    // One voice for all tasks of the node.
    assert_eq!(node.run(&[given, ("FAKE_TASK", "1")], &[]), ended(&[]));
    // A step without devices is none of our business.
    assert_eq!(node.run(&[], &[]), started(&[]));
}

#[test]
fn an_admin_may_prefer_a_warning() {
    let Some(node) = Node::new() else { return };
    std::fs::remove_file(node.copy()).unwrap();
    let given = [("SLURM_STEP_GPUS", "0"), ("CUDA_VISIBLE_DEVICES", "0")];
    let run = node.run(&given, &["on_unresolved=warn"]);
    assert_eq!(run.out, started(&["CUDA_VISIBLE_DEVICES=0"]).out);
    assert_eq!(run.log, ["[mig] DIR/devices: slurmd has not loaded it; restart slurmd"]);
}

#[test]
fn a_device_that_changed_or_went_is_noticed() {
    let Some(node) = Node::new() else { return };
    let map = std::fs::read_to_string(node.copy()).unwrap();
    std::fs::write(node.copy(), map.replace("/dev/null=1:3", "/dev/null=1:4")).unwrap();
    let given = ("SLURM_STEP_GPUS", "0");
    let changed = "[mig] device 0: /dev/null is 1:3 since slurmd started; restart slurmd";
    assert_eq!(node.run(&[given], &[]), ended(&[changed]));
    std::fs::write(node.copy(), map.replace("/dev/null", "/dev/nulls")).unwrap();
    let gone = "[mig] device 0: /dev/nulls does not exist; the MIG device is gone since slurmd started";
    assert_eq!(node.run(&[given], &[]), ended(&[gone]));
    // Somebody else's device.
    assert_eq!(node.run(&[("SLURM_STEP_GPUS", "1")], &[]), started(&["CUDA_VISIBLE_DEVICES=MIG-b"]));
}

#[test]
fn slurms_own_names_are_kept_where_right() {
    let Some(node) = Node::new() else { return };
    let named = |names| node.run(&[("SLURM_STEP_GPUS", "0,3"), ("CUDA_VISIBLE_DEVICES", names)], &[]);
    assert_eq!(named("GPU-d,MIG-a"), started(&["CUDA_VISIBLE_DEVICES=GPU-d,MIG-a"]));
    let wrong = "[mig] devices 0,3: Slurm set MIG-b, which the device map does not confirm; restart slurmd after gresgen apply";
    assert_eq!(named("MIG-b"), ended(&[wrong]));
}

#[test]
fn a_slurm_without_the_optional_function_is_served() {
    let Some(node) = Node::new() else { return };
    let node = node.without_local_index();
    let bound = [("SLURM_STEP_GPUS", "1"), ("CUDA_VISIBLE_DEVICES", "1")];
    assert_eq!(node.run(&bound, &[]), started(&["CUDA_VISIBLE_DEVICES=MIG-b"]));
    // Devices counted within the step show that Slurm takes them for constrained.
    let run = node.run(&[("SLURM_STEP_GPUS", "1"), ("CUDA_VISIBLE_DEVICES", "0")], &[]);
    assert_eq!(run.out, started(&["CUDA_VISIBLE_DEVICES=MIG-b"]).out);
    assert_eq!(run.log.len(), 1, "{:?}", run.log);
    assert!(run.log[0].contains("can open devices of other jobs"), "{:?}", run.log);
}

#[test]
fn commands_only_register_options() {
    let Some(node) = Node::new() else { return };
    std::fs::write(node.copy(), "garbage\n").unwrap();
    for context in ["1", "3"] {
        let run = node.run(&[("FAKE_CONTEXT", context), ("SLURM_STEP_GPUS", "0")], &["nonsense"]);
        assert_eq!(run.out[1..], ["init 0"]);
        assert!(run.log.is_empty(), "{:?}", run.log);
    }
}

#[test]
fn slurmd_keeps_the_map_it_started_with() {
    let Some(node) = Node::new() else { return };
    std::fs::remove_file(node.copy()).unwrap();
    let slurmd = |arguments: &[&str]| node.run(&[("FAKE_CONTEXT", "4")], arguments);
    let run = slurmd(&["colour=red"]);
    assert_eq!(run.out[1..], ["init 0"]);
    let typo = "error: [mig] plugstack.conf: argument \"colour=red\" has an unknown key and is ignored";
    let version = format!("info: [mig] {}", device_map::version::PLUGIN);
    assert_eq!(run.log, [typo, &version, "debug: [mig] DIR/devices: 4 devices kept for tasks"]);
    let by = format!("plugin {}\n", device_map::version::VERSION);
    let copy = std::fs::read_to_string(node.copy()).unwrap();
    assert_eq!(copy.replace(&by, ""), std::fs::read_to_string(node.map()).unwrap());
    assert!(copy.contains(&by), "{copy}");
    std::fs::write(node.map(), "garbage\n").unwrap();
    let run = slurmd(&[]);
    assert_eq!(run.out[1..], ["init 0"], "slurmd starts in any case");
    assert!(
        matches!(&run.log[..], [said, error] if *said == version && error.starts_with("error: ")),
        "{:?}",
        run.log
    );
    assert!(!node.copy().exists());
}

/// Environments of steps, and of the other processes that load the plugin; and how often each lives.
const LIVES: [(&[(&str, &str)], &str); 5] = [
    (&[("SLURM_STEP_GPUS", "0")], "10000"),
    (&[("SLURM_STEP_GPUS", "0,1,3"), ("CUDA_VISIBLE_DEVICES", "GPU-d,MIG-b,MIG-a")], "10000"),
    // No device; srun; slurmd, which writes the disk each time.
    (&[], "10000"),
    (&[("FAKE_CONTEXT", "1")], "10000"),
    (&[("FAKE_CONTEXT", "4")], "500"),
];

#[test]
fn ten_thousand_steps_leak_nothing() {
    let Some(node) = Node::new() else { return };
    for (life, times) in LIVES {
        let run = node.run(&[life, &[("FAKE_REPEAT", times)]].concat(), &["notices=off", "set=cuda,nvidia"]);
        let value = |name: &str| -> i64 {
            let line = run
                .out
                .iter()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_else(|| panic!("{name}: {life:?} {run:?}"));
            line.trim().parse().unwrap()
        };
        assert_eq!(value("leaked_files"), 0, "{life:?}");
        assert!(value("leaked_bytes") < 4096, "{life:?}: {:?}", run.out);
    }
}
