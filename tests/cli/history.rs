//! What was changed, and the way back.

use crate::node::{Node, Run};

const SEVEN: &str = "devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 7}";
const THREE: &str = "devices: [0], mig-enabled: true, mig-devices: {3g.20gb: 2}";

fn entries(node: &Node) -> Vec<serde_json::Value> {
    node.json(&["history"]).as_array().unwrap().clone()
}

fn profiles(node: &Node) -> Vec<String> {
    let status = node.json(&["status"]);
    let instances = status["gpus"][0]["instances"].as_array().unwrap().iter();
    instances.map(|instance| instance["profile"].as_str().unwrap().to_owned()).collect()
}

/// What is seen of a history but for times and the user.
fn brief(node: &Node) -> Vec<(u64, String, String, usize)> {
    let brief = |entry: serde_json::Value| {
        let text = |key: &str| entry[key].as_str().unwrap().to_owned();
        assert!(!text("by").is_empty() && text("at").ends_with('Z'), "{entry:#}");
        (
            entry["id"].as_u64().unwrap(),
            text("what"),
            text("result"),
            entry["steps"].as_array().unwrap().len(),
        )
    };
    entries(node).into_iter().map(brief).collect()
}

fn row(id: u64, what: &str, result: &str, steps: usize) -> (u64, String, String, usize) {
    (id, what.to_owned(), result.to_owned(), steps)
}

#[test]
fn each_change_is_noted_and_can_be_taken_back() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    assert_eq!(node.ok(&["history"]), "nothing was changed yet\n");
    node.ok(&["apply", "-q"]);
    node.ok(&["apply", "-q"]);
    assert_eq!(brief(&node), [row(1, "layout test", "done", 8)], "what changes nothing is no change");
    node.layout(&[THREE]);
    node.ok(&["apply", "-q"]);
    node.ok(&["clear", "all", "-q"]);
    assert_eq!(profiles(&node), [""; 0]);

    // Back, and forth again; and to where it began.
    node.ok(&["apply", "--undo", "-q"]);
    assert_eq!(profiles(&node), ["3g.20gb", "3g.20gb"]);
    node.ok(&["apply", "--undo", "-q"]);
    assert_eq!(profiles(&node), [""; 0]);
    node.ok(&["apply", "--undo", "2", "-q"]);
    assert_eq!(profiles(&node), vec!["1g.5gb"; 7]);
    let said = node.run(&["apply", "--undo", "1"]);
    assert!(said.stderr.contains("layout test is what the next apply or boot makes"), "{}", said.stderr);
    assert_eq!(node.json(&["status"])["gpus"][0]["mode"]["current"], false);
    let due = [
        row(1, "layout test", "done", 8),
        row(2, "layout test", "done", 9),
        row(3, "clear", "done", 2),
        row(4, "undo of change 3", "done", 2),
        row(5, "undo of change 4", "done", 2),
        row(6, "undo of change 2", "done", 7),
        row(7, "undo of change 1", "done", 8),
    ];
    assert_eq!(brief(&node), due);
    assert_eq!(node.json(&["history", "-n", "2"]).as_array().unwrap().len(), 2);
    let run = node.run(&["apply", "--undo", "99"]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("error: --undo: no change 99 is noted")
            && run.stderr.contains("hint: gresgen history")
    );
    let text = node.ok(&["-v", "history"]);
    assert!(text.contains("clear, 2 steps\n") && text.contains("destroy GPU 0 3g.20gb at 4\n"), "{text}");
}

/// A layout that was chosen is no longer meant when the change it came with is taken back.
#[test]
fn undoing_a_choice_takes_the_choice_back() {
    let node = Node::new("a100-40gb");
    node.write(
        "etc/gresgen/config.yaml",
        &format!("version: v1\nlayout: a\nmig-configs:\n  a: [{{{SEVEN}}}]\n  b: [{{{THREE}}}]\n  c: [{{devices: all, mig-enabled: false}}]\n"),
    );
    let chosen = || node.path("var/lib/gresgen/layout").exists().then(|| node.read("var/lib/gresgen/layout"));
    node.ok(&["apply", "-q"]);
    node.ok(&["apply", "--layout", "b", "-q"]);
    node.ok(&["apply", "--layout", "c", "-q"]);
    node.ok(&["apply", "--undo", "-q"]);
    assert!(chosen().unwrap().contains("\"b\""));
    assert_eq!(profiles(&node), ["3g.20gb", "3g.20gb"]);
    node.ok(&["apply", "--undo", "2", "-q"]);
    assert_eq!(chosen(), None);
    assert_eq!(profiles(&node), vec!["1g.5gb"; 7]);
    assert!(node.ok(&["plan"]).contains("nothing"), "the configuration means what is there");
}

#[test]
fn what_failed_or_was_killed_is_noted_too() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    let with = |faults: &str, arguments: &[&str]| -> Run {
        node.finish(node.command(arguments).env("NVML_SIM_FAULTS", faults))
    };
    let failed = with("nvmlDeviceCreateGpuInstanceWithPlacement@3=999", &["apply", "-q"]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert_eq!(brief(&node), [row(1, "layout test", "undone", 8)]);
    assert!(entries(&node)[0]["error"].as_str().unwrap().contains("nvmlDeviceCreateGpuInstance"));
    assert_eq!(with("kill@3", &["apply", "-q"]).code, -1);
    assert_eq!(brief(&node).len(), 1);
    node.ok(&["apply", "-q"]);
    let all = brief(&node);
    assert_eq!((all.len(), &all[1]), (3, &row(2, "layout test", "cut-off", 8)));
    assert_eq!((&*all[2].1, &*all[2].2), ("layout test", "done"));
    // What it goes back to is what was before the one that was killed.
    node.ok(&["apply", "--undo", "-q"]);
    assert_eq!(node.json(&["status"])["gpus"][0]["mode"]["current"], false);
}

/// What cannot come back is said, and is not taken for what is there already.
#[test]
fn what_was_on_a_gpu_that_is_gone_cannot_come_back() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    node.ok(&["apply", "-q"]);
    let path = "var/lib/gresgen/history";
    let gpu = entries(&node)[0]["before"][0]["gpu"].as_str().unwrap().to_owned();
    let noted = node.read(path);
    node.write(path, &noted.replace(&gpu, "GPU-gone"));
    let refused = node.run(&["apply", "--undo=1"]);
    assert_eq!(refused.code, 2, "{}", refused.stdout);
    let due = "error: GPU-gone: is not on this node, and cannot be brought back to what it was\nhint: --without GPU";
    assert!(refused.stderr.contains(due), "{}", refused.stderr);
    assert_eq!(node.run(&["apply", "--undo=1", "--without", "GPU-gone", "-q"]).code, 0);
    let mut empty = entries(&node)[0].clone();
    empty["before"] = serde_json::json!([]);
    node.write(path, &format!("{empty}\n"));
    node.run(&["apply", "--undo=1"]).refused(2, "error: change 1: no GPU is noted as it was before");
}

#[test]
fn a_journal_that_cannot_be_read_hides_no_gpu() {
    let node = Node::with_layout("a100-40gb", &[SEVEN]);
    node.ok(&["apply", "-q"]);
    node.write("var/lib/gresgen/intent.json", "{\"version\": 1, \"wh");
    let status = node.run(&["status"]);
    assert_eq!(status.code, 0, "{}", status.stderr);
    assert!(status.stdout.contains("1g.5gb"), "{}", status.stdout);
    assert!(
        status.stdout.contains("interrupted: a change whose journal cannot be read"),
        "{}",
        status.stdout
    );
    assert!(status.stderr.contains("intent.json: not a journal this program can read"), "{}", status.stderr);
    for verb in [&["apply"][..], &["apply", "--undo"], &["plan"], &["clear", "all"]] {
        let refused = node.run(verb);
        assert_eq!(refused.code, 1, "{verb:?}: {}", refused.stdout);
        assert!(refused.stderr.contains("hint: it says what the GPUs were before"), "{}", refused.stderr);
    }
}
