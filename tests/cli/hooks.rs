//! Hooks: commands around a change, and services that stand still meanwhile.

use std::os::unix::fs::PermissionsExt;

use crate::node::{Node, Run};

/// A `systemctl` of services that run or do not, by files below `units`; each call is noted.
const SYSTEMCTL: &str = r#"#!/bin/sh
units=$UNITS
echo "$*" >> $units/.calls
block=; case $1 in --no-block) block=1; shift ;; esac
verb=$1; shift; [ "$1" = -- ] && shift
for unit; do
  case $verb in
  show)
    case $unit in --*) continue ;; esac
    [ -e $units/.mute ] && { echo 'Failed to connect to bus: No such file or directory' >&2; exit 1; }
    [ -e $units/$unit ] && state=active || state=inactive
    printf 'Id=%s\nActiveState=%s\n' $unit $state ;;
  stop) rm -f $units/$unit ;;
  start) [ -e $units/.broken ] && { echo "Job for $unit failed." >&2; exit 1; }; touch $units/$unit ;;
  esac
done
"#;

const SEVEN: &str = "devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}";

struct Hooked(Node);

impl Hooked {
    fn new(hooks: &str) -> Self {
        let node = Node::with_layout("a100-40gb", &[SEVEN]);
        node.write("bin/systemctl", SYSTEMCTL);
        std::fs::set_permissions(node.path("bin/systemctl"), std::fs::Permissions::from_mode(0o755)).unwrap();
        for unit in ["nvidia-dcgm.service", "exporter.service"] {
            node.write(&format!("units/{unit}"), "");
        }
        let said = node.path("said").display().to_string();
        let hooks = hooks.replace("SAID", &said).replace("UNITS", &node.path("units").display().to_string());
        let config = node.read("etc/gresgen/config.yaml");
        node.write("etc/gresgen/config.yaml", &format!("{config}hooks:\n{hooks}"));
        Hooked(node)
    }

    fn run(&self, arguments: &[&str], faults: &str) -> Run {
        let path = format!("{}:{}", self.0.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = self.0.command(arguments);
        command.env("PATH", path).env("UNITS", self.0.path("units")).env("NVML_SIM_FAULTS", faults);
        self.0.finish(&mut command)
    }

    fn said(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.path("said")).unwrap_or_default();
        let _ = std::fs::remove_file(self.0.path("said"));
        text.lines().map(str::to_owned).collect()
    }

    fn calls(&self) -> Vec<String> {
        let path = self.0.path("units/.calls");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(&path);
        text.lines().map(str::to_owned).collect()
    }

    fn runs(&self, unit: &str) -> bool {
        self.0.path(&format!("units/{unit}.service")).exists()
    }
}

const HOOKS: &str = "  services: [nvidia-dcgm, exporter, absent]
  before:
    - {command: /bin/sh, args: [-c, 'echo before $(ls UNITS) >> SAID']}
  after:
    - {command: /bin/sh, args: [-c, 'echo after $GRESGEN_WHAT >> SAID']}
  on-failure:
    - {command: /bin/sh, args: [-c, 'echo failure >> SAID']}
";

#[test]
fn services_stand_still_while_gpus_change_and_run_again_whatever_comes() {
    let node = Hooked::new(HOOKS);
    let done = node.run(&["apply", "-q"], "");
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(node.said(), ["before", "after layout test"], "no service runs in between");
    assert!(node.runs("nvidia-dcgm") && node.runs("exporter") && !node.runs("absent"));
    let due = [
        "show --property=Id,ActiveState -- nvidia-dcgm.service",
        "show --property=Id,ActiveState -- exporter.service",
        "show --property=Id,ActiveState -- absent.service",
        "stop -- exporter.service nvidia-dcgm.service",
        "start -- nvidia-dcgm.service exporter.service",
    ];
    assert_eq!(node.calls(), due);

    // What changes nothing disturbs nobody.
    assert_eq!(node.run(&["apply", "-q"], "").code, 0);
    assert_eq!((node.said(), node.calls()), (vec![], vec![]));

    // A change that fails is taken back, and they run again.
    let failed = node.run(&["clear", "all"], "nvmlGpuInstanceDestroy@3=999");
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert_eq!(node.said(), ["before", "failure"]);
    assert!(node.runs("nvidia-dcgm") && node.runs("exporter"));

    // One that is killed cannot start them; the next one does, though it changes nothing more.
    assert_eq!(node.run(&["clear", "all"], "kill@3").code, -1);
    assert!(!node.runs("nvidia-dcgm") && !node.runs("exporter"));
    let check = node.run(&["check"], "");
    assert!(check.stdout.contains("nvidia-dcgm.service, exporter.service stand still"), "{}", check.stdout);
    assert_eq!(node.run(&["apply", "-q"], "").code, 0);
    assert!(node.runs("nvidia-dcgm") && node.runs("exporter"));
    assert!(!node.run(&["check"], "").stdout.contains("stand still"));

    // Which they were must not be lost without a word.
    node.0.write("var/lib/gresgen/stopped.json", "{\"boot\": \"");
    node.run(&["apply"], "").refused(1, "start the services that stand still, and remove it");
}

/// Services that are ordered after ours wait for it, so at a boot nobody may wait for them.
#[test]
fn at_a_boot_no_start_is_waited_for() {
    let node = Hooked::new(HOOKS);
    assert_eq!(node.run(&["apply", "--boot", "-q"], "").code, 0);
    let calls = node.calls();
    assert_eq!(
        calls.last().map(String::as_str),
        Some("--no-block start -- nvidia-dcgm.service exporter.service")
    );
}

#[test]
fn a_hook_that_fails_before_is_a_change_not_made_and_one_after_is_told() {
    let node = Hooked::new(
        "  before: [{command: /bin/sh, args: [-c, 'printf \"\\033[2Jno room\\n\"; exit 1']}]\n  services: [exporter]\n",
    );
    let refused = node.run(&["apply"], "");
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    let due = "error: hook before: /bin/sh: failed: \u{FFFD}[2Jno room\nhint: no GPU was changed";
    assert!(refused.stderr.contains(due), "{}", refused.stderr);
    assert!(node.0.uuids().is_empty() && node.runs("exporter"));
    assert!(!node.0.path("var/lib/gresgen/intent.json").exists());

    let node = Hooked::new("  after: [{command: /bin/false}]\n  services: [exporter]\n");
    node.0.write("units/.broken", "");
    let done = node.run(&["apply"], "");
    assert_eq!(done.code, 1, "the change is made, and not all that belongs to it: {}", done.stderr);
    assert_eq!(node.0.uuids().len(), 7);
    assert!(done.stderr.contains("warning: hook after: /bin/false: failed"), "{}", done.stderr);
    assert!(done.stderr.contains("warning: services exporter.service: systemctl start -- exporter.service: Job for exporter.service failed."), "{}", done.stderr);
    let wrong =
        "services exporter.service: systemctl start -- exporter.service: Job for exporter.service failed.";
    let noted = &node.0.json(&["history"])[0];
    assert_eq!(noted["result"], "done");
    assert_eq!(noted["error"], format!("hook after: /bin/false: failed; {wrong}"));
    let again = node.run(&["apply", "--json"], "");
    assert_eq!(again.code, 1, "{}", again.stderr);
    let again: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&again["changed"], &again["went_wrong"]), (&false.into(), &serde_json::json!([wrong])));
    std::fs::remove_file(node.0.path("units/.broken")).unwrap();
    assert_eq!(node.run(&["apply", "-q"], "").code, 0);
    assert!(node.runs("exporter"), "what could not be started is tried again");
}

#[test]
fn what_others_can_write_says_nothing_to_root() {
    let node = Hooked::new("  after: [{command: /bin/true}]\n");
    let config = node.0.path("etc/gresgen/config.yaml");
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o666)).unwrap();
    node.run(&["apply"], "")
        .refused(2, "config.yaml: says what root runs, and others can write it (mode 0666)");
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
    // Who can rename in a directory above puts another file in the place of one that was looked at.
    let above = node.0.path("etc/gresgen");
    std::fs::set_permissions(&above, std::fs::Permissions::from_mode(0o777)).unwrap();
    node.run(&["apply"], "").refused(2, "etc/gresgen: leads to what root runs, and can be written by others");
    std::fs::set_permissions(&above, std::fs::Permissions::from_mode(0o755)).unwrap();
    let hooks = node.0.path("hooks.yaml").display().to_string();
    let said = node.0.path("said").display().to_string();
    node.0.write("hooks.yaml", &format!("version: v1\nhooks:\n  apply-exit:\n  - {{command: /bin/sh, args: [-c, 'echo exit >> {said}']}}\n"));
    let done = node.run(&["apply", "-q", "--hooks-file", &hooks], "");
    assert_eq!((done.code, node.said()), (0, vec!["exit".to_owned()]), "{}", done.stderr);
}

#[test]
fn where_systemd_does_not_say_what_runs_no_gpu_is_changed() {
    let node = Hooked::new("  services: [nvidia-dcgm]\n");
    node.0.write("units/.mute", "");
    let refused = node.run(&["apply"], "");
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    let due = "error: services nvidia-dcgm.service: systemctl show --property=Id,ActiveState -- nvidia-dcgm.service: \
               Failed to connect to bus: No such file or directory\nhint: no GPU was changed";
    assert!(refused.stderr.contains(due), "{}", refused.stderr);
    assert!(node.0.uuids().is_empty());
    for (hooks, due) in [
        ("  services: [nvidia-dcgm, \"nvidia-*\"]\n", "\"nvidia-*\" is no name of a systemd unit"),
        ("  timeout: 0s\n", "0s is no time to run in"),
    ] {
        let refused = Hooked::new(hooks).run(&["apply"], "");
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains(due), "{}", refused.stderr);
    }
}

/// A command as another program runs it, in its own place.
fn by(program: &[&str], command: &std::process::Command) -> std::process::Command {
    let mut whole = std::process::Command::new(program[0]);
    whole.args(&program[1..]).arg(command.get_program()).args(command.get_args()).env_clear();
    whole.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    whole
}

/// A terminal that goes away stops a change, unless whoever began it has said that it is to go on.
#[test]
fn a_change_outlives_a_hangup_under_nohup() {
    let node = Hooked::new("  before: [{command: /bin/sh, args: [-c, 'kill -HUP $PPID']}]\n");
    let mut nohup = by(&["/usr/bin/nohup"], &node.0.command(&["apply", "-q"]));
    let done = nohup.stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(!node.0.uuids().is_empty());
}

/// A hook that has begun is not left alone: neither by a signal that ends us, nor by one that kills us.
#[test]
fn a_hook_ends_with_whoever_runs_it() {
    use rustix::process::Signal;
    for (signal, code) in [(Signal::TERM, Some(130)), (Signal::HUP, Some(130)), (Signal::KILL, None)] {
        let node = Hooked::new(
            "  before: [{command: /bin/sh, args: [-c, 'sleep 600 & echo $$ $! > SAID.new; mv SAID.new SAID; wait']}]\n  on-failure: [{command: /bin/sh, args: [-c, 'echo failure >> SAID']}]\n",
        );
        // These tests may have been started by nohup.
        let mut child = by(&["/usr/bin/env", "--default-signal=HUP"], &node.0.command(&["apply", "-q"]))
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::fs::File::create(node.0.path("stderr")).unwrap())
            .spawn()
            .unwrap();
        let until = |there: &dyn Fn() -> bool| {
            let start = std::time::Instant::now();
            while !there() {
                assert!(start.elapsed().as_secs() < 60, "{signal:?}");
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        };
        until(&|| node.0.path("said").exists());
        let said = node.said();
        let pids: Vec<&str> = said[0].split_whitespace().collect();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let ended = child.wait().unwrap().code();
        let stderr = std::fs::read_to_string(node.0.path("stderr")).unwrap();
        assert_eq!(ended, code, "{signal:?}: {stderr}");
        for pid in pids {
            // A process that nobody has waited for is none that runs.
            let runs = || {
                let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                !status.is_empty() && !status.contains("State:\tZ")
            };
            until(&|| !runs());
        }
        assert!(node.0.uuids().is_empty());
        let undone = code.is_some();
        assert_eq!(node.0.path("var/lib/gresgen/intent.json").exists(), !undone);
        assert_eq!(node.said(), if undone { vec!["failure"] } else { vec![] });
    }
}
