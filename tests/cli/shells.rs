//! What a real fish and a real zsh make of the completion of layouts, models, GPUs and slices. bash is in `terminal.rs`.

use std::path::Path;
use std::process::Command;

use crate::node::{Node, simulator};

/// Two GPUs, one of them cut, and labels of which a shell would run some.
fn node() -> Node {
    let node = Node::with_layout(
        "a30-24gb:2",
        &["devices: [0], mig-enabled: true, mig-devices: {1g.6gb: 2, 2g.12gb: 1}"],
    );
    node.ok(&["apply", "-q", "--offline"]);
    node.write_names_for_shells();
    node
}

/// A shell with nobody's settings that finds `gresgen`, and ends.
fn shell(node: &Node, program: &str) -> Command {
    let bin = Path::new(env!("CARGO_BIN_EXE_gresgen")).parent().unwrap();
    let mut command = Command::new("timeout");
    command
        .args(["120", program])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .env("HOME", node.path("home"))
        .env("TERM", "xterm")
        .env("GRESGEN_ROOT", node.path(""))
        .env("GRESGEN_NVML_LIB", simulator())
        .env("NVML_SIM_GPUS", node.gpus())
        .env("NVML_SIM_ROOT", node.path(""))
        .current_dir(node.path("srv"));
    std::fs::create_dir_all(node.path("home")).unwrap();
    command
}

fn said(command: &mut Command, program: &str) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} (make setup-tests): {:?} {text}{error}", output.status);
    text
}

/// What is typed, what the line then is with `TAB`.
const TYPED: [(&str, &str); 6] = [
    ("gresgen --layout ", "gresgen --layout plain-1.a_b"),
    ("gresgen --layout a", "gresgen --layout a"),
    ("gresgen profiles --model a30", "gresgen profiles --model a30-24gb"),
    ("gresgen clear al", "gresgen clear all"),
    ("gresgen run 2g", "gresgen run 2g.12gb"),
    ("gresgen --config o", "gresgen --config one.yaml"),
];

/// fish tells what it would offer (fish: `complete -C`).
#[test]
fn fish_completes_what_is_plain() {
    let node = node();
    let mut typed: Vec<(&str, Vec<&str>)> =
        TYPED.iter().map(|(typed, due)| (*typed, Vec::from_iter((typed != due).then_some(*due)))).collect();
    typed.push(("gresgen clear ", vec!["gresgen clear 0", "gresgen clear 1", "gresgen clear all"]));
    for (typed, due) in typed {
        let mut command = shell(&node, "fish");
        let script = format!("gresgen completions fish | source; complete -C '{typed}'");
        let text = said(command.args(["--no-config", "-c", &script]), "fish");
        let offered: Vec<&str> = text.lines().map(|line| line.split('\t').next().unwrap()).collect();
        let last = |line: &'static str| line.rsplit(' ').next().unwrap();
        let offered: Vec<&str> = offered.into_iter().filter(|word| !word.starts_with('-')).collect();
        assert_eq!(offered, due.into_iter().map(last).collect::<Vec<_>>(), "{typed}: {text}");
    }
}

/// An interactive zsh on a terminal of its own (zshmodules(1), zsh/zpty), with the script where packages have it. For each line
/// that is typed, and then TAB, it prints the line that stands there.
const ZSH: &str = r#"
zmodload zsh/zpty || exit
zpty shell 'zsh -f -i'
zpty -w shell 'PS1= PS2= fpath=($HOME/functions $fpath); autoload -Uz compinit; compinit -u -d $HOME/dump'
zpty -w shell 'show() { print -r -- "$BUFFER" >$HOME/new; mv $HOME/new $HOME/line; BUFFER= }; zle -N show; bindkey "^Xs" show'
while IFS= read -r line; do
    zpty -w -n shell "$line"$'\t\x18s'
    until [[ -e $HOME/line ]]; do
        zpty -t shell || exit
        zpty -r -t shell said
        sleep 0.05
    done
    cat $HOME/line
    rm $HOME/line
done
zpty -d shell
"#;

/// The first of them is the first of the session.
#[test]
fn zsh_completes_what_is_plain() {
    let node = node();
    let functions = node.path("home/functions");
    std::fs::create_dir_all(&functions).unwrap();
    let script = said(shell(&node, "gresgen").args(["completions", "zsh"]), "gresgen");
    std::fs::write(functions.join("_gresgen"), script).unwrap();
    let lines: String = TYPED.iter().map(|(typed, _)| format!("{typed}\n")).collect();
    node.write("typed", &lines);
    let typed = std::fs::File::open(node.path("typed")).unwrap();
    let text = said(shell(&node, "zsh").args(["-f", "-c", ZSH]).stdin(typed), "zsh");
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines, TYPED.map(|(_, due)| due.trim_end()));
}
