//! What a person sees at a terminal: colours, a width that is kept, a display that is left with Ctrl-C.

use std::path::Path;

use crate::node::{Node, simulator};
use crate::plain::plain;

/// Words for a shell.
fn quoted(arguments: &[String]) -> String {
    arguments.iter().map(|argument| format!("'{argument}'")).collect::<Vec<_>>().join(" ")
}

/// What `gresgen` writes to a terminal of so many columns (script(1) of util-linux makes it), by line.
fn on_terminal(node: &Node, columns: usize, before: &str, arguments: &[&str]) -> (i32, String) {
    let mut command: Vec<String> = vec![
        env!("CARGO_BIN_EXE_gresgen").to_owned(),
        "--root".to_owned(),
        node.path("").display().to_string(),
        "--nvml-lib".to_owned(),
        simulator().display().to_string(),
        "--simulate".to_owned(),
        node.gpus().to_owned(),
    ];
    command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    let line = format!("stty cols {columns} rows 30 -onlcr; {before} {}", quoted(&command));
    let output = plain("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("TERM", "xterm")
        .env("SLURMD_NODENAME", "n1")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// Lines without colours.
fn uncoloured(text: &str) -> Vec<String> {
    let text = anstream::adapter::strip_str(text).to_string();
    text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

fn busy_node() -> Node {
    let entries = ["devices: all, mig-enabled: true, mig-devices: {1g.18gb: 3, 1g.18gb+me: 1, 3g.71gb: 1}"];
    let node = Node::with_layout("h200-141gb:4", &entries);
    node.ok(&["apply", "-q"]);
    let uuid = node.uuids()[2].clone();
    node.occupy(&uuid, std::process::id());
    node
}

#[test]
fn what_is_shown_fits_a_terminal_of_eighty_columns() {
    let node = busy_node();
    let whole = "version: v1\nmig-configs: {whole: [{devices: all, mig-enabled: false}]}\n";
    node.write("other.yaml", whole);
    let other = node.path("other.yaml").display().to_string();
    let label = "a".repeat(60);
    let long = format!("version: v1\nmig-configs: {{{label}: [{{devices: [1], mig-enabled: false}}]}}\n");
    node.write("long.yaml", &long);
    node.ok(&["--config", &node.path("long.yaml").display().to_string(), "apply", "-q"]);
    node.write("etc/slurm/slurm.conf", "ClusterName=c\nNodeName=n1 CPUs=2 RealMemory=100\n");
    let first = node.path("first.yaml").display().to_string();
    let jobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/jobs.csv");
    let verbs: [&[&str]; 20] = [
        &["--config", &first, "init", "--layout-of", "7x1g"],
        &["-v", "status"],
        &["run", "9g.1gb", "true"],
        &["run", "3g.71gb", "true"],
        &["slices"],
        &["advise", "--jobs", jobs.to_str().unwrap(), "--nodes", "g[1-2]=2xa100-40gb"],
        &["advise", "--jobs", "/nonexistent/jobs"],
        &["export"],
        &["clear", "2"],
        &["mode", "off", "3"],
        &["apply", "--undo"],
        &["status"],
        &["status", "--short"],
        &["--config", &other, "plan", "--without", "0"],
        &["--config", &other, "plan"],
        &["check"],
        &["profiles"],
        &["profiles", "-v"],
        &["history"],
        &["frobnicate"],
    ];
    for columns in [80, 100] {
        for verb in verbs {
            let (_, text) = on_terminal(&node, columns, "", verb);
            let lines = uncoloured(&text);
            assert!(lines.iter().any(|line| !line.is_empty()), "{verb:?}: {text}");
            // A path is as long as it is, and what is copied or read by a program is one line: what a shell is given, a patch.
            let root = node.path("").display().to_string();
            let patch = verb.contains(&"init");
            let whole = |line: &&String| {
                let copied = line.starts_with("  ")
                    && ["until ", "scontrol "].iter().any(|word| line[2..].starts_with(word));
                let patched = patch && line.starts_with(['+', '-', ' ']);
                !(line.contains(&root) || patched || copied)
            };
            for line in lines.iter().filter(whole) {
                assert!(line.chars().count() <= columns, "{verb:?} in {columns} columns: {line}");
            }
        }
    }
}

#[test]
fn colours_are_for_terminals_and_for_whoever_wants_them() {
    let node = busy_node();
    let expect = |coloured: bool, before: &str, arguments: &[&str]| {
        let (_, text) = on_terminal(&node, 80, before, arguments);
        assert!(text.lines().count() > 1, "{before} {arguments:?}: {text}");
        assert_eq!(text.contains("\u{1b}["), coloured, "{before} {arguments:?}: {text}");
    };
    for verb in [&["status"][..], &["check"], &["stauts"]] {
        expect(true, "", verb);
        expect(false, "NO_COLOR=1", verb);
        expect(false, "CLICOLOR=0", verb);
        expect(false, "TERM=dumb", verb);
        expect(false, "", &[&["--color", "never"], verb].concat());
    }
    // Not on a terminal.
    let piped = |arguments: &[&str], force: bool| {
        let mut command = node.command(arguments);
        if force {
            command.env("CLICOLOR_FORCE", "1");
        }
        node.finish(&mut command).stdout
    };
    let text = piped(&["status"], false);
    assert!(!text.contains('\u{1b}'));
    for forced in [piped(&["status"], true), piped(&["--color", "always", "status"], false)] {
        assert!(forced.contains('\u{1b}'));
        assert_eq!(anstream::adapter::strip_str(&forced).to_string(), text, "the words are the same");
    }
    // Data has none, whoever asks.
    assert!(!piped(&["--color", "always", "--json", "status"], true).contains('\u{1b}'));
}

#[test]
fn a_watched_status_is_left_with_ctrl_c() {
    let node = busy_node();
    let (code, text) = on_terminal(&node, 80, "timeout --signal=INT 5", &["status", "--watch=0.2"]);
    // timeout(1) says with 124 that it had to send the signal.
    assert_eq!(code, 124, "{text}");
    assert!(text.matches("\u{1b}[H").count() > 1, "it was drawn again: {text:?}");
    assert!(text.ends_with("\u{1b}[J"), "nothing is left behind the last picture: {text:?}");
    let direct = plain("timeout")
        .args(["--preserve-status", "--signal=INT", "5"])
        .arg(env!("CARGO_BIN_EXE_gresgen"))
        .args(["--simulate", node.gpus(), "--root"])
        .arg(node.path(""))
        .arg("--nvml-lib")
        .arg(simulator())
        .args(["status", "--short", "--watch=0.5"])
        .output()
        .unwrap();
    assert_eq!(direct.status.code(), Some(0), "{}", String::from_utf8_lossy(&direct.stderr));
    let text = String::from_utf8(direct.stdout).unwrap();
    assert!(!text.contains('\u{1b}') && text.matches("GPU  MODEL").count() > 1, "{text}");
    // A reader that has seen enough ends it, too.
    let script = format!(
        "{} --simulate {} --root {} --nvml-lib {} status --short --watch=0.1 | head -3",
        env!("CARGO_BIN_EXE_gresgen"),
        node.gpus(),
        node.path("").display(),
        simulator().display()
    );
    let head = plain("timeout").args(["20", "bash", "-o", "pipefail", "-c", &script]).output().unwrap();
    assert_eq!(head.status.code(), Some(0), "{}", String::from_utf8_lossy(&head.stderr));
}

/// What a real bash offers for a line that ends with `word`.
fn completed(node: &Node, words: &[&str]) -> Vec<String> {
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_gresgen")).parent().unwrap().display().to_string();
    let library = simulator().display().to_string();
    let root = node.path("").display().to_string();
    let line: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "PATH={bin}:$PATH; source <(gresgen completions bash); spec=$(complete -p gresgen); \
         f=${{spec##*-F }}; f=${{f%% *}}; COMP_WORDS=(gresgen {}); COMP_CWORD={}; COMP_TYPE=9; \
         $f gresgen \"${{COMP_WORDS[COMP_CWORD]}}\" gresgen; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        line.join(" "),
        words.len()
    );
    let output = plain("bash")
        .args(["--norc", "-c", &script])
        .env("GRESGEN_ROOT", root)
        .env("GRESGEN_NVML_LIB", library)
        .env("NVML_SIM_GPUS", node.gpus())
        .env("NVML_SIM_ROOT", node.path(""))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut offered: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    offered.sort();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    offered
}

#[test]
fn bash_completes_layouts_models_gpus_and_slices() {
    let node = busy_node();
    assert_eq!(completed(&node, &["--layout", ""]), ["test"]);
    assert_eq!(completed(&node, &["profiles", "--model", "a30"]), ["a30-24gb"]);
    let mut gpus = completed(&node, &["clear", ""]);
    gpus.retain(|word| !word.starts_with('-'));
    assert_eq!(gpus, ["0", "1", "2", "3", "all"]);
    assert_eq!(completed(&node, &["run", "1g.18"]), ["1g.18gb", "1g.18gb+me"]);
    assert!(completed(&node, &["st"]).contains(&"status".to_owned()));
    // A configuration that is wrong fills no command line with errors.
    node.write("etc/gresgen/config.yaml", "version: v9\n");
    assert_eq!(completed(&node, &["--layout", "zz"]), [""; 0]);
}

/// What stands on the line is run when Enter follows, and bash quotes nothing of it.
#[test]
fn no_shell_is_offered_what_it_would_run() {
    let node = Node::new("a30-24gb");
    node.write_names_for_shells();
    assert_eq!(completed(&node, &["--layout", ""]), ["plain-1.a_b"]);
    let place = node.path("srv").display().to_string();
    assert_eq!(completed(&node, &["--config", &format!("{place}/o")]), [format!("{place}/one.yaml")]);
    assert_eq!(
        completed(&node, &["metrics", "--output", &format!("{place}/o")]),
        [format!("{place}/one.yaml")]
    );
}
