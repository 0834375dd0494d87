//! Bad input: a clear error that names the object, and nothing changed.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::node::{Node, simulator, snapshot, tree};
use crate::plain::plain;

const SEVEN: &str = "devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}";

#[test]
fn what_cannot_be_is_refused_before_anything_changes() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    node.ok(&["apply", "-q"]);
    let state = || (tree(&node.path("etc/slurm")), node.read("run/gresgen/devices"), node.uuids());
    let before = state();
    let layouts = [
        ("unknown profile", "devices: all, mig-enabled: true, mig-devices: {1g.10gb+me: 1}"),
        ("no profile at all", "devices: all, mig-enabled: true, mig-devices: {banana: 1}"),
        ("does not fit", "devices: all, mig-enabled: true, mig-devices: {3g.20gb: 2, 1g.5gb: 1}"),
        ("no such GPU", "devices: [5], mig-enabled: true, mig-devices: {1g.5gb: 7}"),
        ("unknown field", "devices: all, mig-enabeld: true, mig-devices: {}"),
        ("no such place", "devices: all, mig-enabled: true, mig-devices: {3g.20gb: {at: 2}}"),
    ];
    for (name, layout) in layouts {
        node.layout(&[layout]);
        let run = node.run(&["apply"]);
        assert_eq!(run.code, 2, "{name}");
        snapshot(name, &run.snapshot());
        assert!(state() == before, "{name}: something was changed");
    }
}

/// A GPU keeps its index when another one is left out.
#[test]
fn what_does_not_fit_is_told_of_the_gpu_it_does_not_fit_on() {
    let node = Node::with_layout(
        "a30-24gb:1,a100-40gb",
        &["devices: [a100-40gb, 7], mig-enabled: true, mig-devices: {3g.20gb: 3}"],
    );
    for left_out in ["0", "a30-24gb", "NVIDIA A30", "03:00.0"] {
        for verb in ["plan", "apply"] {
            let run = node.run(&[verb, "--without", left_out]);
            assert_eq!(run.code, 2);
            assert!(run.stderr.contains(": GPU 1: the layout does not fit"), "{}", run.stderr);
            assert!(
                run.stderr.starts_with("warning: devices: 7: no such GPU on this node\n"),
                "{}",
                run.stderr
            );
        }
    }
    let unknown = node.run(&["plan", "--without", "a31"]);
    assert!(
        unknown.stderr.starts_with("warning: --without a31: no such GPU on this node\n"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn arguments_that_name_nothing_are_refused() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    for (name, arguments) in [
        ("layout that is not there", &["--layout", "nope", "apply"][..]),
        ("GPU that is not there", &["clear", "GPU-nope"]),
        ("model that is not known", &["profiles", "--model", "voodoo2"]),
        ("slice that is not there", &["run", "3g.20gb", "true"]),
        ("nothing to undo", &["apply", "--undo"]),
        ("configuration that is not there", &["--config", "/nonexistent/config.yaml", "plan"]),
    ] {
        let run = node.run(arguments);
        assert_eq!(run.code, 2, "{name}: {}", run.stderr);
        snapshot(name, &run.snapshot());
    }
}

#[test]
fn files_that_are_not_ours_stay_until_they_are_adopted() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    node.write("etc/slurm/gres.conf", "NodeName=n1 Name=license Count=4\n");
    let refused = node.run(&["apply"]);
    assert_eq!(refused.code, 2);
    snapshot("file of the site", &refused.snapshot());
    let planned = node.run(&["plan"]);
    assert_eq!((planned.code, &planned.stderr), (2, &refused.stderr));
    assert!(planned.stdout.contains("foreign  [ROOT]/etc/slurm/gres.conf "), "{}", planned.stdout);
    assert!(node.uuids().is_empty(), "the GPUs were not touched");
    assert_eq!(node.read("etc/slurm/gres.conf"), "NodeName=n1 Name=license Count=4\n");
    node.ok(&["apply", "--adopt", "-q"]);
    assert!(node.read("etc/slurm/gres.conf").contains("Name=license Count=4"), "other GRES survive");
    assert!(
        tree(&node.path("var/lib/gresgen/previous"))
            .iter()
            .any(|(_, text)| text.starts_with("NodeName=n1 Name=license"))
    );
}

#[test]
fn an_output_that_cannot_be_written_is_found_before_the_gpus_are_touched() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    // Root may write anywhere, but not below a file.
    node.write("etc/slurm", "not a directory\n");
    let run = node.run(&["apply"]);
    assert_eq!(run.code, 1);
    snapshot("unwritable output", &run.snapshot());
    assert!(node.uuids().is_empty());
}

/// `gresgen apply 2>&1 | head -1`, or a connection that is gone: the change goes on.
#[test]
fn an_apply_that_nobody_listens_to_is_carried_through() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    let mut apply = node.command(&["apply"]);
    let mut apply = apply.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((apply.stdout.take(), apply.stderr.take()));
    assert_eq!(apply.wait().unwrap().code(), Some(0));
    assert_eq!(node.uuids().len(), 7);
    assert!(!node.path("var/lib/gresgen/intent.json").exists());
}

#[test]
fn data_that_cannot_be_written_is_an_error_with_a_name() {
    let node = Node::new("a100-40gb");
    let full = fs::File::create("/dev/full").unwrap();
    let mut status = node.command(&["status"]);
    let output = status.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "error: standard output: No space left on device\n");
}

/// ssh gives no more of an order whose answer is lost than its exit code.
#[test]
fn an_answer_that_is_lost_is_no_success() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    node.ok(&["apply", "-q"]);
    for (order, code) in [(r#"{"look": {}}"#, 1), (r#"{"cut": {"gpus": []}}"#, 1), ("no order", 2)] {
        let ended = |output: Stdio| {
            let mut child = node
                .command(&["order"])
                .stdin(Stdio::piped())
                .stdout(output)
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(order.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let full = fs::File::create("/dev/full").unwrap();
        let due = "error: standard output: No space left on device\n".to_owned();
        assert_eq!(ended(full.into()), (Some(code), due), "{order}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(ended(writer.into()), (Some(code), String::new()), "{order}");
    }
}

#[test]
fn a_damaged_journal_is_named() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    node.write("var/lib/gresgen/intent.json", "{\"version\": 1, \"wh");
    let run = node.run(&["apply"]);
    assert_eq!(run.code, 1);
    snapshot("damaged journal", &run.snapshot());
}

#[test]
fn a_damaged_device_map_is_replaced_and_never_believed() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    node.ok(&["apply", "-q"]);
    let whole = node.read("run/gresgen/devices");
    node.write("run/gresgen/devices", &whole[..whole.len() / 2]);
    let check = node.run(&["check", "--quick"]);
    assert_eq!(check.code, 3, "{}", check.stdout);
    node.ok(&["render", "-q"]);
    assert_eq!(node.read("run/gresgen/devices"), whole);
}

/// Root reads and writes anything, so another user is asked.
#[test]
fn without_the_right_to_change_things_one_can_look() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    node.ok(&["apply", "-q"]);
    fs::set_permissions(node.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    // The checkout may be closed to others.
    let (program, library) = (node.path("gresgen"), node.path("libnvml_sim.so"));
    fs::copy(env!("CARGO_BIN_EXE_gresgen"), &program).unwrap();
    fs::copy(simulator(), &library).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = plain(&program);
        command.arg("--nvml-lib").arg(&library).arg("--root").arg(node.path(""));
        command.args(["--simulate", "a100-40gb"]).args(arguments).env("SLURMD_NODENAME", "n1");
        node.finish(command.uid(65534).gid(65534))
    };
    for verb in ["status", "plan", "profiles", "export"] {
        let looked = run(&[verb]);
        assert_eq!(looked.code, 0, "{verb}: {}", looked.stderr);
    }
    let refused = run(&["clear", "0"]);
    let said = "error: [ROOT]/run/gresgen/lock: Permission denied\n\
                hint: it changes GPUs or who has them: run it as root\n";
    assert_eq!((refused.code, &*refused.stderr), (1, said));
    let refused = run(&["run", "1g.5gb", "true"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("hint: on a node of Slurm slices are Slurm's to give"),
        "{}",
        refused.stderr
    );
}

#[test]
fn one_change_at_a_time() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    let mut slow = node.command(&["apply", "-q"]);
    let mut first =
        slow.env("NVML_SIM_LATENCY", "nvmlDeviceCreateGpuInstanceWithPlacement=1500").spawn().unwrap();
    while fs::read_to_string(node.path("run/gresgen/lock")).unwrap_or_default().is_empty() {
        assert!(first.try_wait().unwrap().is_none(), "it ends without having begun");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let second = node.run(&["apply"]);
    let status = node.run(&["status"]).stdout;
    let pid = first.id();
    assert!(first.wait().unwrap().success());
    assert_eq!(second.code, 4);
    assert!(status.contains(&format!("being changed by process {pid}\n")), "{status}");
    assert!(!status.contains("interrupted"), "{status}");
    assert_eq!(
        second.stderr,
        format!(
            "error: [ROOT]/run/gresgen/lock: held by process {pid}\nhint: wait until it is done, then try again\n"
        )
    );
}

#[test]
fn without_a_driver_there_is_one_error_and_a_way_on() {
    let bare = |arguments: &[&str]| {
        let mut command = plain(env!("CARGO_BIN_EXE_gresgen"));
        let root = tempfile::tempdir().unwrap();
        let output = command.arg("--root").arg(root.path()).args(arguments).output().unwrap();
        let stderr =
            String::from_utf8(output.stderr).unwrap().replace(root.path().to_str().unwrap(), "[ROOT]");
        format!("exit code {}\n{stderr}", output.status.code().unwrap())
    };
    snapshot("no driver", &bare(&["--nvml-lib", "/nonexistent/libnvidia-ml.so.1", "status"]));
    let library = simulator();
    snapshot(
        "driver not loaded",
        &bare(&["--nvml-lib", library.to_str().unwrap(), "status"])
            .replace(library.to_str().unwrap(), "[SIMULATOR]"),
    );
}

#[test]
fn an_instance_that_nvml_leaves_out_is_asked_for_again_then_reported() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    node.ok(&["apply", "-q"]);
    let status = |faults: &str| node.finish(node.command(&["status"]).env("NVML_SIM_FAULTS", faults));
    let peaceful = node.ok(&["status"]);
    // The profile of all seven, or one of their MIG devices, is denied once, in passing.
    assert_eq!(status("nvmlDeviceGetGpuInstanceProfileInfoV@1=NOT_SUPPORTED").stdout, peaceful);
    assert_eq!(status("nvmlDeviceGetMigDeviceHandleByIndex@3=NOT_FOUND").stdout, peaceful);
    let refused = |faults: &str| {
        let refused = status(faults);
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
        refused.snapshot()
    };
    snapshot("instance not listed", &refused("nvmlDeviceGetMigDeviceHandleByIndex@*=NOT_FOUND"));
    snapshot("profile not listed", &refused("nvmlDeviceGetGpuInstanceProfileInfoV@*=NOT_SUPPORTED"));
    // Where the kernel module is not to be seen, NVML's lists are compared with each other.
    std::fs::remove_dir_all(node.path("proc/driver/nvidia/capabilities")).unwrap();
    snapshot("device not listed", &refused("nvmlDeviceGetMigDeviceHandleByIndex@*=NOT_FOUND"));
}

/// A driver says of an instance that was in use a moment ago that it is in use still.
#[test]
fn an_instance_that_is_in_use_for_a_moment_is_tried_again() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    node.ok(&["apply", "-q"]);
    let clear = |faults: &str| {
        let calls = node.path("calls");
        let mut command = node.command(&["clear", "-q", "all"]);
        let done = node.finish(command.env("NVML_SIM_FAULTS", faults).env("NVML_SIM_CALLS", &calls));
        let log = std::fs::read_to_string(&calls).unwrap();
        std::fs::remove_file(&calls).unwrap();
        (done, log.lines().filter(|line| line.starts_with("nvmlGpuInstanceDestroy")).count())
    };
    let (cleared, tries) = clear("nvmlGpuInstanceDestroy@1=IN_USE,nvmlGpuInstanceDestroy@2=IN_USE");
    assert_eq!((cleared.code, tries), (0, 7 + 2), "{}", cleared.stderr);
    node.ok(&["apply", "-q"]);
    let (held, tries) = clear("nvmlGpuInstanceDestroy@*=IN_USE");
    assert_eq!((held.code, tries), (4, 1 + 6));
}

#[test]
fn simulated_gpus_need_a_place_and_keep_to_it() {
    let run = |arguments: &[&str]| {
        let output = plain(env!("CARGO_BIN_EXE_gresgen")).args(arguments).output().unwrap();
        format!("exit code {}\n{}", output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    snapshot("no place", &run(&["--simulate", "a100-40gb", "status"]));
    let root = tempfile::tempdir().unwrap();
    let (place, library) = (root.path().to_str().unwrap(), simulator());
    let at = |spec: &str| {
        run(&["--simulate", spec, "--root", place, "--nvml-lib", library.to_str().unwrap(), "status", "-q"])
            .replace(place, "[ROOT]")
            .replace(library.to_str().unwrap(), "[SIMULATOR]")
    };
    at("a100-40gb");
    snapshot("other GPUs", &at("h100-80gb-sxm"));
    snapshot("no such model", &at("voodoo2"));
}
