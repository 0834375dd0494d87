//! Waits as a person sees them, on a terminal and off one.

use std::process::{Command, Stdio};

use crate::node::Node;
use crate::plain::plain;

const LAYOUT: &str = "devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}";

/// The arguments of a boot whose driver does not come.
const BOOT: [&str; 7] =
    ["--nvml-lib", "/nonexistent/libnvidia-ml.so.1", "apply", "--boot", "--offline", "--wait", "3s"];

/// The words of a command for a shell.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn node() -> Node {
    let node = Node::with_layout("a100-40gb", &[LAYOUT]);
    node.ok(&["apply", "-q"]);
    node
}

/// `gresgen` with another library than the node's, which `--nvml-lib` can name once only.
fn boot(node: &Node, more: &[&str]) -> Command {
    let mut command = plain(env!("CARGO_BIN_EXE_gresgen"));
    command
        .arg("--root")
        .arg(node.path(""))
        .args(BOOT)
        .args(more)
        .env("SLURMD_NODENAME", "n1")
        .stdin(Stdio::null());
    command
}

#[test]
fn a_boot_says_that_it_waits_for_the_driver() {
    let node = node();
    let run = node.finish(&mut boot(&node, &[]));
    assert_ne!(run.code, 0);
    let waits: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("waiting for")).collect();
    let [line] = waits[..] else { panic!("{}", run.stderr) };
    assert!(
        line.starts_with("waiting for the driver, 0:00 of 0:03: /nonexistent/libnvidia-ml.so.1: "),
        "{line}"
    );
    let quiet = node.finish(&mut boot(&node, &["-q"]));
    assert!(!quiet.stderr.contains("waiting for"), "{}", quiet.stderr);
}

/// script(1) is the terminal, and types Ctrl-C.
#[test]
fn on_a_terminal_it_is_one_line_and_ctrl_c_ends_it() {
    let node = node();
    let mut patient = boot(&node, &[]);
    let long = line(&patient).replace("'3s'", "'60s'");
    patient = plain("sh");
    let script = "(sleep 5; printf '\\003'; sleep 1) | script -qefc \"$LINE\" /dev/null";
    patient.args(["-c", script]).env("LINE", &long).env("TERM", "xterm").env("SLURMD_NODENAME", "n1");
    let run = node.finish(&mut patient);
    assert_eq!(run.code, 130, "{}", run.stdout);
    // Each look takes the place of the one before.
    let shown = run.stdout.matches("\r\u{1b}[Kwaiting for the driver, 0:0").count();
    assert!(shown >= 2, "{:?}", run.stdout);
    assert!(run.stdout.contains("interrupted by a signal"), "{}", run.stdout);
}
