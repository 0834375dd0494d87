//! The life of a partition, verb by verb.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::Command;

use crate::node::{Node, file, snapshot};
use crate::plain::plain;

const MIXED: [&str; 2] = [
    "devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 4}",
    "devices: [1], mig-enabled: true, mig-devices: {3g.20gb: 1, 2g.10gb: 1, 1g.5gb: 1}",
];

/// Boot ids and device majors are the host's, and a digest is of text that names the root.
fn steady(text: &str) -> String {
    let mut filtered = Vec::new();
    for line in text.lines() {
        let line = match line.split_once(' ') {
            Some((key @ ("boot" | "gres-conf"), _)) => format!("{key} [OF THE HOST]"),
            _ => line.to_owned(),
        };
        let mut words = line.split('=');
        let mut out = words.next().unwrap_or_default().to_owned();
        for word in words {
            match word.split_once(':') {
                Some((major, rest)) if !major.is_empty() && major.bytes().all(|b| b.is_ascii_digit()) => {
                    out.push_str(&format!("=[MAJOR]:{rest}"));
                }
                _ => out.push_str(&format!("={word}")),
            }
        }
        filtered.push(out);
    }
    filtered.join("\n")
}

#[test]
fn an_apply_is_planned_done_verified_and_not_repeated() {
    let node = Node::with_layout("a100-40gb:2", &MIXED);
    snapshot("plan", &node.run(&["plan"]).snapshot());
    snapshot("apply", &node.run(&["apply"]).snapshot());
    snapshot("apply again", &node.run(&["apply"]).snapshot());
    snapshot("status", &node.run(&["status"]).snapshot());
    snapshot("export", &node.run(&["export"]).snapshot());
    for (name, path) in [
        ("gres.conf", "etc/slurm/gres.conf"),
        ("gresgen-node.conf", "etc/slurm/gresgen-node.conf"),
        ("cgroup.conf", "etc/slurm/cgroup.conf"),
        ("mig.conf", "etc/slurm/plugstack.conf.d/mig.conf"),
        ("devices", "run/gresgen/devices"),
    ] {
        snapshot(name, &steady(&file(&node, path)));
    }
}

/// nvml.h calls the field `device` of a compute instance's info the parent device, and so it is on real boards. Where it
/// is the MIG device instead, nothing else comes out.
#[test]
fn slices_have_their_own_uuids_whichever_device_the_library_gives() {
    let map = |form: &str| {
        let node = Node::with_layout("a100-40gb:2", &MIXED);
        let run = |arguments: &[&str]| {
            let run = node.finish(node.command(arguments).env("NVML_SIM_CI_DEVICE", form));
            assert!(matches!(run.code, 0 | 6), "{form}: {}", run.stderr);
            run.stdout
        };
        run(&["apply", "-q"]);
        let map = file(&node, "run/gresgen/devices");
        let uuids: Vec<&str> = map.split_whitespace().filter(|word| word.starts_with("MIG-")).collect();
        assert_eq!(uuids.len(), 7, "{form}: {map}");
        for uuid in uuids {
            assert_eq!(run(&["run", uuid, "--", "printenv", "CUDA_VISIBLE_DEVICES"]).trim(), uuid, "{form}");
        }
        steady(&map)
    };
    assert_eq!(map("parent"), map("mig"));
}

/// With MIG off the geometry comes from the table of models, whose order is not the driver's.
#[test]
fn what_is_planned_with_mig_off_is_what_is_done() {
    for (gpus, layout) in [
        ("a100-40gb", "1c.3g.20gb: 3, 2g.10gb: 1, 1g.5gb+me: 1"),
        ("h100-80gb-sxm:1:mirrored", "1g.10gb: 2, 1g.20gb: 1, 1g.10gb+me: 1, 2g.20gb: 1"),
        ("rtx-pro-6000-blackwell-96gb", "1g.24gb+me.all: 1, 1g.24gb-me: 2"),
    ] {
        let layout = format!("devices: all, mig-enabled: true, mig-devices: {{{layout}}}");
        let node = Node::with_layout(gpus, &[&layout]);
        let slices = |list: &serde_json::Value| {
            let list = list.as_array().unwrap().iter();
            let mut places: Vec<String> =
                list.map(|slice| format!("{} at {}", slice["profile"], slice["start"])).collect();
            places.sort();
            places
        };
        let planned = slices(&node.json(&["plan"])["gpus"][0]["slices"]);
        let reported = slices(&node.json(&["apply"])["preview"]["gpus"][0]["slices"]);
        let done = slices(&node.json(&["status"])["gpus"][0]["instances"]);
        assert_eq!((&planned, &reported), (&done, &done), "{gpus}");
    }
}

#[test]
fn each_step_leaves_a_line_with_its_time() {
    let node = Node::with_layout("a100-40gb", &["devices: all, mig-enabled: true, mig-devices: {1g.5gb: 2}"]);
    let apply = node.command(&["apply"]);
    let words = std::iter::once(apply.get_program()).chain(apply.get_args());
    let line: Vec<&str> = words.map(|word| word.to_str().unwrap()).collect();
    // script(1) gives the command a terminal of its own.
    let mut script = plain("script");
    let run = node.finish(
        script.args(["-qec", &line.join(" "), "/dev/null"]).env("TERM", "xterm").env("SLURMD_NODENAME", "n1"),
    );
    let steps: Vec<&str> =
        run.stdout.lines().filter(|line| line.starts_with('[')).map(str::trim_end).collect();
    let due = ["[1/3] GPU 0 MIG mode on", "[2/3] create GPU 0 1g.5gb at 4", "[3/3] create GPU 0 1g.5gb at 5"];
    assert_eq!(steps.len(), due.len(), "{:?}", run.stdout);
    for (step, due) in steps.iter().zip(due) {
        let time = step.strip_prefix(due).and_then(|rest| rest.strip_prefix("  ")?.strip_suffix(" s"));
        assert!(time.is_some_and(|time| time.parse::<f64>().is_ok()), "{step:?}");
    }
    let plan = run.stdout.find("2 x 1g.5gb at 4, 5").unwrap_or_else(|| panic!("{}", run.stdout));
    assert!(plan < run.stdout.find("[1/3]").unwrap(), "the plan stands before what is done");
}

#[test]
fn status_and_profiles_show_the_gpus_that_are_named() {
    let node = Node::with_layout("a100-40gb:2,a30-24gb", &MIXED);
    node.ok(&["apply", "-q"]);
    for gpu in ["1", "0000:0a:00.0"] {
        snapshot("status of one", &node.run(&["status", "-v", gpu]).snapshot());
    }
    let gpus = |text: &str| text.lines().filter(|line| line.starts_with("GPU")).count();
    assert_eq!(gpus(&node.ok(&["status", "a100-40gb"])), 2);
    assert_eq!(node.run(&["status", "7"]).code, 2);
    // What still fits on the first two differs, so each has its table.
    snapshot("profiles of the node", &node.run(&["profiles", "-v"]).snapshot());
    node.ok(&["clear", "all", "-q"]);
    assert!(node.ok(&["profiles"]).starts_with("GPUs 0-1  NVIDIA A100-SXM4-40GB\n"));
    assert_eq!(gpus(&node.ok(&["profiles", "A30"])), 1);
    // Hopper has two compute instance profiles of one slice.
    let hopper = node.ok(&["profiles", "--model", "h100-80gb-sxm", "-v"]);
    assert!(hopper.contains("\n  as 3 x 1c.3g.40gb or 1 x 2c.3g.40gb or 1 x 3g.40gb\n"), "{hopper}");
    let unseen = node.ok(&["profiles", "--model", "b300-269gb"]);
    assert!(unseen.starts_with("b300-269gb  (profile names published, "), "{unseen}");
    // One profile has one form, wherever it is shown.
    let mut profile = node.json(&["profiles"])[0]["profiles"][0].clone();
    assert_eq!(profile.as_object_mut().unwrap().remove("free"), Some(7.into()));
    assert_eq!(profile, node.json(&["status"])["gpus"][0]["geometry"]["profiles"][0]);
    let models = node.json(&["profiles", "--models"]);
    let names = ["NVIDIA A100-SXM4-40GB", "NVIDIA A100-PCIE-40GB", "A100-SXM4-40GB", "A100-PCIE-40GB"];
    assert_eq!(models[0], serde_json::json!({"key": "a100-40gb", "names": names}));
    for (name, key) in [
        ("a100-40gb", "a100-40gb"),
        ("NVIDIA A100-PCIE-40GB", "a100-40gb"),
        ("a100-pcie-40gb", "a100-40gb"),
        ("A100-PCIE-80GB", "a100-80gb"),
        ("NVIDIA A100X", "a100-80gb"),
        ("NVIDIA A30X", "a30-24gb"),
        ("RTX PRO 5000 Blackwell", "rtx-pro-5000-blackwell-48gb"),
    ] {
        assert_eq!(node.json(&["profiles", "--model", name])[0]["model"], key, "{name}");
    }
}

/// Slurm's files of a node are not made from a part of it.
#[test]
fn an_inventory_of_some_gpus_is_not_taken_for_the_node() {
    let node = Node::new("a100-40gb:2");
    for (gpus, code) in [(&["0"][..], 1), (&["0", "1"], 0)] {
        let inventory = node.ok(&[&["status", "--json"], gpus].concat());
        node.write("one.json", &inventory.replace("[ROOT]/", node.path("").to_str().unwrap()));
        let path = node.path("one.json").display().to_string();
        let run = node.run(&["render", "--context", "--inventory", &path]);
        assert_eq!(run.code != 0, code != 0, "{}", run.stderr);
        assert_eq!(run.stderr.contains("only some of its GPUs"), code != 0, "{}", run.stderr);
    }
}

#[test]
fn a_change_keeps_what_fits_and_names_why() {
    let node = Node::with_layout("a100-40gb", &["devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}"]);
    node.ok(&["apply", "-q"]);
    let before = node.uuids();
    node.layout(&["devices: all, mig-enabled: true, mig-devices: {3g.20gb: 1, 1g.5gb: 3}"]);
    snapshot("change", &node.run(&["apply"]).snapshot());
    let after = node.uuids();
    assert_eq!(after.iter().filter(|uuid| before.contains(uuid)).count(), 3, "three slices were kept");
    let report = node.json(&["apply"]);
    assert_eq!(report["changed"], false);
}

#[test]
fn a_configuration_comes_from_standard_input_too() {
    let node = Node::new("a100-40gb");
    node.write(
        "layout.yaml",
        "version: v1\nmig-configs: {x: [{devices: all, mig-enabled: true, mig-devices: {1g.5gb: 2}}]}",
    );
    let from = |path: &str| {
        let input = std::fs::File::open(node.path(path)).unwrap();
        node.finish(node.command(&["--config", "-", "apply", "-q"]).stdin(input))
    };
    assert_eq!(from("layout.yaml").code, 0);
    assert_eq!(node.uuids().len(), 2);
    node.write("layout.yaml", "version: v2\n");
    let wrong = from("layout.yaml").stderr;
    assert!(
        wrong.starts_with("error: standard input:1:10: version \"v2\" is not known, write v1\n"),
        "{wrong}"
    );
}

#[test]
fn clear_and_mode_reach_only_the_gpus_named() {
    let node = Node::with_layout("a100-40gb:2", &MIXED);
    node.ok(&["apply", "-q"]);
    node.ok(&["clear", "1", "-q"]);
    assert_eq!(node.uuids().len(), 4);
    let second = node.json(&["status"])["gpus"][1]["uuid"].as_str().unwrap().to_owned();
    node.ok(&["mode", "off", &second, "-q"]);
    let status = node.json(&["status"]);
    assert_eq!(status["gpus"][0]["mode"]["current"], true);
    assert_eq!(status["gpus"][1]["mode"]["current"], false);
    // A GPU without MIG is a whole GRES.
    assert!(node.read("etc/slurm/gres.conf").contains("File="));
}

#[test]
fn partial_compute_instances_are_devices_of_their_own() {
    let node = Node::with_layout(
        "a100-40gb",
        &["devices: all, mig-enabled: true, mig-devices: {1c.3g.20gb: 3, 3g.20gb: 1}"],
    );
    node.ok(&["apply", "-q"]);
    snapshot("partial", &node.run(&["status"]).snapshot());
    assert_eq!(node.ok(&["apply"]), "nothing to change\n");
    node.layout(&[
        "devices: all, mig-enabled: true, mig-devices: {2c.3g.20gb: 1, 1c.3g.20gb: 1, 3g.20gb: 1}",
    ]);
    let run = node.run(&["apply"]);
    assert!(run.stdout.contains("recut"), "{}", run.stdout);
    assert_eq!(node.uuids().len(), 3);
}

#[test]
fn a_slice_in_use_is_left_alone_and_its_user_named() {
    let node = Node::with_layout("a100-40gb:2", &MIXED);
    node.ok(&["apply", "-q"]);
    let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
    let busy = node.uuids()[4].clone();
    node.occupy(&busy, sleeper.id());
    let refused = node.run(&["clear", "1"]);
    let kept = node.uuids();
    // What is not in use may still change: GPU 0 is emptied.
    let other = node.run(&["clear", "0", "-q"]);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    assert_eq!((refused.code, other.code), (4, 0), "{}", refused.stderr);
    assert!(
        refused.stderr.contains(&format!("process {} (sleep, user root)", sleeper.id())),
        "{}",
        refused.stderr
    );
    assert_eq!(kept.len(), 7, "nothing was touched");
    assert_eq!(node.uuids().len(), 3);
    assert_eq!(node.run(&["clear", "1", "-q"]).code, 0, "the process has ended");
}

#[test]
fn the_mode_of_a_gpu_in_use_stays_and_its_user_is_named() {
    let node =
        Node::with_layout("a100-40gb:2", &["devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}"]);
    let gpu = |index: usize| {
        let status: serde_json::Value = serde_json::from_str(&node.ok(&["status", "--json"])).unwrap();
        status["gpus"][index].clone()
    };
    let uuid = gpu(1)["uuid"].as_str().unwrap().to_owned();
    let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
    node.occupy(&uuid, sleeper.id());
    let user = format!("process {} (sleep, user root)", sleeper.id());
    let status = node.ok(&["status"]);
    let refused = node.run(&["apply"]);
    let (first, second) = (gpu(0), gpu(1));
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    let shown = format!("  used by pid {} sleep root\n", sleeper.id());
    assert_eq!(status.matches(&shown).count(), 1, "{status}");
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("GPU 1: in use by {user}")), "{}", refused.stderr);
    assert_eq!((&first["mode"]["current"], &second["mode"]["current"]), (&false.into(), &false.into()));
    assert_eq!(second["holders"][0]["pid"], sleeper.id(), "{second}");
    assert_eq!(node.run(&["apply", "-q"]).code, 0, "the process has ended");
}

#[test]
fn a_command_runs_on_a_slice_that_stays_its_own() {
    let node = Node::with_layout("a100-40gb:2", &MIXED);
    node.ok(&["apply", "-q"]);
    let seen = node.ok(&["run", "3g.20gb", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES"]);
    assert!(node.uuids().contains(&seen.trim().to_owned()));
    let mut running = node.command(&["run", seen.trim(), "sleep", "60"]).spawn().unwrap();
    let holds = || node.run(&["status"]).stdout.contains("gresgen run");
    while !holds() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let refused = node.run(&["clear", "1"]);
    let taken = node.run(&["run", "3g.20gb", "true"]);
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!((refused.code, taken.code), (4, 4), "{}{}", refused.stderr, taken.stderr);
    assert!(!holds());
    assert_eq!(node.run(&["run", "3g.20gb", "sh", "-c", "exit 7"]).code, 7);
}

/// The parts of one GPU instance are slices of their own.
#[test]
fn parts_of_an_instance_run_side_by_side() {
    let node = Node::with_layout(
        "a100-40gb",
        &["devices: all, mig-enabled: true, mig-devices: {1c.3g.20gb: 3, 1g.5gb: 1}"],
    );
    node.ok(&["apply", "-q"]);
    let parts = node.uuids();
    let go = node.path("go");
    std::fs::create_dir(&go).unwrap();
    let wait = format!("echo $CUDA_VISIBLE_DEVICES; while [ -d {} ]; do sleep 0.02; done", go.display());
    let start = || {
        let mut run = node.command(&["run", "1c.3g.20gb", "--", "sh", "-c", &wait]);
        run.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    // At once: they wait for each other's look at the node, and none takes what another has.
    let running: Vec<_> = (0..3).map(|_| start()).collect();
    let used = || node.run(&["status"]).stdout.matches("gresgen run (process").count();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while used() < 3 && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let seen = used();
    let fourth = node.run(&["run", "1c.3g.20gb", "true"]);
    let elsewhere = node.run(&["run", "1g.5gb", "true"]);
    std::fs::remove_dir(&go).unwrap();
    let mut given: Vec<String> = running
        .into_iter()
        .map(|run| {
            let output = run.wait_with_output().unwrap();
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        })
        .map(|text| text.trim().to_owned())
        .collect();
    given.sort();
    given.dedup();
    assert_eq!(given.len(), 3, "{given:?}");
    assert!(given.iter().all(|uuid| parts.contains(uuid)), "{given:?}");
    assert_eq!(seen, 3, "each part shows who has it, and no other");
    assert_eq!((fourth.code, elsewhere.code), (4, 0), "{}{}", fourth.stderr, elsewhere.stderr);
}

/// Anybody can name a process; an admin's terminal is not to be told what to do by it.
#[test]
fn a_users_process_name_is_shown_without_control_characters() {
    let node = Node::with_layout("a100-40gb", &["devices: all, mig-enabled: true, mig-devices: {1g.5gb: 1}"]);
    node.ok(&["apply", "-q"]);
    let program = node.path("a\x1b[2J\nb");
    // By another process: what this one has open for writing, a child of another test may have, too, and nobody can run it then.
    assert!(Command::new("cp").arg("/usr/bin/sleep").arg(&program).status().unwrap().success());
    let mut sleeper = Command::new(&program).arg("60").spawn().unwrap();
    node.occupy(&node.uuids()[0], sleeper.id());
    let status = node.run(&["status"]).stdout;
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    let user = format!("pid {} a?[2J?b root\n", sleeper.id());
    assert!(status.contains(&user), "{status:?}");
}

/// Arguments of the command are its own, whatever their bytes; so is the way it ends.
#[test]
fn a_command_is_run_as_it_is() {
    use std::os::unix::ffi::OsStrExt;
    let node = Node::with_layout("a100-40gb", &["devices: all, mig-enabled: true, mig-devices: {1g.5gb: 1}"]);
    node.ok(&["apply", "-q"]);
    let mut run = node.command(&["run", "1g.5gb", "--", "printf", "%s|%s"]);
    run.arg(std::ffi::OsStr::from_bytes(b"\xff")).arg("--json");
    assert_eq!(run.output().unwrap().stdout, b"\xff|--json");
    let killed = node.run(&["run", "1g.5gb", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(killed.code, -1, "ended by the signal");
    let missing = node.run(&["run", "1g.5gb", "--", "/no/such"]);
    assert_eq!((missing.code, &*missing.stderr), (127, "error: /no/such: No such file or directory\n"));
}

#[test]
fn a_slice_is_looked_for_on_the_gpu_named() {
    let node =
        Node::with_layout("a100-40gb:2", &["devices: all, mig-enabled: true, mig-devices: {1g.5gb: 1}"]);
    node.ok(&["apply", "-q"]);
    let uuids = node.uuids();
    let parent = node.json(&["status"])["gpus"][1]["uuid"].as_str().unwrap()[..12].to_lowercase();
    for (gpu, uuid) in [
        ("0", &uuids[0]),
        ("1", &uuids[1]),
        ("0a:00.0", &uuids[1]),
        ("a100-40gb", &uuids[0]),
        (&parent, &uuids[1]),
    ] {
        let seen = node.ok(&["run", "--gpu", gpu, "1g.5gb", "--", "printenv", "CUDA_VISIBLE_DEVICES"]);
        assert_eq!(seen.trim(), uuid);
    }
    let refused = node.run(&["run", "--gpu", "1", &uuids[0], "true"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.starts_with(&format!("error: {}: no such slice on GPU 1\n", uuids[0])),
        "{}",
        refused.stderr
    );
}

#[test]
fn an_ampere_gpu_in_use_waits_for_its_reset_and_gets_it_on_request() {
    let node =
        Node::with_layout("a100-40gb:1:held", &["devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}"]);
    let waiting = node.run(&["apply"]);
    assert_eq!(waiting.code, 5, "{}{}", waiting.stdout, waiting.stderr);
    snapshot("a reset is pending", &waiting.snapshot());
    assert!(node.run(&["status"]).stdout.contains("MIG off, on after a GPU reset"));
    // nvidia-smi is found on PATH; the simulator brings one.
    let tools = node.path("tools");
    std::fs::create_dir_all(&tools).unwrap();
    let smi = crate::node::simulator().with_file_name("nvml-sim-smi");
    let smi = if smi.exists() {
        smi
    } else {
        std::path::Path::new(env!("CARGO_BIN_EXE_gresgen")).with_file_name("nvml-sim-smi")
    };
    std::os::unix::fs::symlink(smi, tools.join("nvidia-smi")).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let run = node.finish(node.command(&["apply", "--reset"]).env("PATH", path));
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    assert_eq!(node.uuids().len(), 7);
}

#[test]
fn an_apply_that_was_killed_is_seen_finished_or_undone() {
    for verb in [&["apply"][..], &["apply", "--undo"]] {
        let node = Node::with_layout(
            "h100-80gb-sxm",
            &["devices: all, mig-enabled: true, mig-devices: {1g.10gb: 7}"],
        );
        node.ok(&["apply", "-q"]);
        let before = node.uuids();
        node.layout(&["devices: all, mig-enabled: true, mig-devices: {7g.80gb: 1}"]);
        let killed = node.finish(node.command(&["apply"]).env("NVML_SIM_FAULTS", "kill@5"));
        assert_eq!(killed.code, -1, "{}", killed.stderr);
        let status = node.run(&["status"]).stdout;
        assert!(status.contains("interrupted: layout test"), "{status}");
        node.ok(&[verb, &["-q"]].concat());
        assert!(!node.run(&["status"]).stdout.contains("interrupted"));
        match verb.len() {
            1 => assert_eq!(node.uuids().len(), 1),
            _ => assert_eq!(node.uuids(), before),
        }
    }
}

#[test]
fn the_command_line_describes_itself() {
    let node = Node::new("a30-24gb");
    snapshot("help", &node.run(&["--help"]).snapshot());
    assert!(node.ok(&["completions", "bash"]).contains("_gresgen"));
    let pages: [(&[&str], &str, &[&str]); 3] = [
        (
            &["man"],
            ".TH GRESGEN 1",
            &[
                ".SS apply\n",
                "\\-\\-drain[=<DURATION>]",
                ".SS \"run <SLICE> <COMMAND>...\"",
                ".SH \"EXIT STATUS\"",
                "/etc/gresgen/config.yaml",
                ".SH ENVIRONMENT",
                ".SH EXAMPLES",
            ],
        ),
        (
            &["man", "gresgen.yaml"],
            ".TH GRESGEN.YAML 5",
            &[".SS mig-configs\n", "plugstack\\-conf", ".EX\nversion: v1\n"],
        ),
        (&["man", "spank_mig"], ".TH SPANK_MIG 8", &[".SS Arguments\n", "\\fBon_unresolved=fail|warn\\fR"]),
    ];
    for (arguments, title, parts) in pages {
        let page = node.ok(arguments);
        for part in [title].iter().chain(parts) {
            assert!(page.contains(part), "{part}:\n{page}");
        }
    }
    snapshot("profiles", &node.run(&["profiles", "--model", "rtx-pro-6000-blackwell-96gb"]).snapshot());
}

/// A timer replaces it in a directory that may be another user's.
#[test]
fn metrics_go_into_regular_files_alone() {
    let node = Node::with_layout("a30-24gb", &["devices: all, mig-enabled: true, mig-devices: {1g.6gb: 4}"]);
    node.ok(&["apply", "-q"]);
    let place = node.path("srv");
    std::fs::create_dir(&place).unwrap();
    let written =
        |output: &str| node.finish(node.command(&["metrics", "--output", output]).current_dir(&place));
    let mode = |name: &str| {
        let status = place.join(name).symlink_metadata().unwrap();
        (status.is_file(), status.permissions().mode() & 0o777)
    };
    for output in ["/dev/full", "/dev/stdout", "."] {
        let run = written(output);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{output}: {}", run.stderr);
        assert!(
            run.stderr.contains("not a regular file\nhint: - stands for standard output"),
            "{}",
            run.stderr
        );
    }
    assert!(std::fs::metadata("/dev/full").unwrap().file_type().is_char_device());
    assert_eq!(written("name.prom").code, 0);
    assert_eq!(mode("name.prom"), (true, 0o644));
    assert!(written("-").stdout.starts_with("# HELP ") && !place.join("-").exists());

    node.write("etc/private", "private");
    std::fs::set_permissions(node.path("etc/private"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(node.path("etc/private"), place.join("link.prom")).unwrap();
    assert_eq!(written("link.prom").code, 0);
    assert_eq!((mode("link.prom"), node.read("etc/private").as_str()), ((true, 0o644), "private"));
    // One that is there keeps what its owner gave it.
    std::fs::set_permissions(place.join("link.prom"), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(written("link.prom").code, 0);
    assert_eq!(mode("link.prom"), (true, 0o640));
}

/// An empty variable would be a job without devices.
#[test]
fn an_index_that_the_map_lacks_is_no_device() {
    let node = Node::with_layout("a30-24gb", &["devices: all, mig-enabled: true, mig-devices: {1g.6gb: 4}"]);
    node.ok(&["apply", "-q"]);
    let of = |gpus: &str| {
        let mut command = node.command(&["env", "--job", "5"]);
        command.envs([
            ("SLURM_JOB_ID", "5"),
            ("SLURM_SCRIPT_CONTEXT", "prolog_slurmd"),
            ("SLURM_JOB_GPUS", gpus),
        ]);
        node.finish(&mut command)
    };
    assert!(of("3").stdout.starts_with("export CUDA_VISIBLE_DEVICES=MIG-"));
    for gpus in ["99", "0,4"] {
        let run = of(gpus);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{}", run.stderr);
        assert!(run.stderr.starts_with("error: job 5: has index "), "{}", run.stderr);
    }
}
