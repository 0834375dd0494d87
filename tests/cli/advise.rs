//! Advice from files: good ones, bad ones, and what a configuration of it makes of a node.

use std::path::Path;

use crate::node::Node;

fn example() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/jobs.csv").display().to_string()
}

/// What a run that ends with 2 says.
fn refused(node: &Node, arguments: &[&str]) -> String {
    let run = node.run(arguments);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.stderr);
    run.stderr
}

/// Lines as sacct prints them: one for each of these requests, a minute apart.
fn sacct(requests: &[(&str, &str)], jobs: usize) -> String {
    let mut text =
        "JobIDRaw|Submit|Start|ElapsedRaw|TimelimitRaw|State|NNodes|AllocTRES|NodeList\n".to_owned();
    for number in 0..jobs {
        let (tres, nodes) = requests[number % requests.len()];
        let submit = 1_760_000_000 + number * 60;
        let run = 300 + number % 7 * 200;
        text.push_str(&format!("{number}|{submit}|{}|{run}|60|COMPLETED|1|{tres}|{nodes}\n", submit + 5));
    }
    text
}

#[test]
fn the_advice_is_the_same_again_and_can_be_applied() {
    let node = Node::new("a100-40gb:2");
    let jobs = example();
    let ask = ["advise", "--jobs", &jobs, "--write"];
    let config = node.path("advised.yaml").display().to_string();
    let first = node.ok(&[&ask[..], &[&config]].concat());
    assert_eq!(first, node.ok(&[&ask[..], &[&config]].concat()));
    assert!(first.contains("advice: cut") && first.lines().all(|line| line.chars().count() <= 80), "{first}");
    node.ok(&["--config", &config, "apply", "-q"]);
    assert!(node.ok(&["status"]).contains("MIG-"));

    // What there is now is as good, so it stays.
    let document = node.json(&["advise", "--jobs", &jobs]);
    let group = &document["groups"][0];
    assert_eq!(group["advice"], "leave as it is");
    assert_eq!(group["layouts"][0]["mean_s"], group["layouts"][1]["mean_s"]);
    let mean = |at: usize| group["layouts"][at]["mean_s"].as_f64().unwrap();
    assert!(mean(0) < mean(2) && group["bound_mean_s"].as_f64().unwrap() <= mean(0));
    assert!(document["config"].as_str().unwrap().contains("mig-devices"));
}

#[test]
fn jobs_that_want_whole_gpus_are_left_them() {
    let node = Node::new("a100-40gb:2");
    node.write("jobs.txt", &sacct(&[("gres/gpu:a100=1,gres/gpu=1", "n1")], 600));
    let jobs = node.path("jobs.txt").display().to_string();
    let said = node.ok(&["advise", "--jobs", &jobs, "--nodes", "n1=2xa100-40gb"]);
    assert!(said.contains("advice: leave whole"), "{said}");
    assert!(said.contains("few jobs: 198 are too few"), "{said}");
}

#[test]
fn what_is_not_counted_is_said_once() {
    let node = Node::new("a100-40gb:2");
    let requests = [
        ("gres/gpu:1g.5gb=1,gres/gpu=1", "n1"),
        ("gres/gpu:1g.24gb=1,gres/gpu=1", "n1"),
        ("gres/gpu=64", "n1"),
        ("cpu=4", "n1"),
        ("gres/gpu=1", "n9"),
        ("gres/gpu=1|x", "n1"),
        ("gres/gpu:1g.5gb=1,gres/gpu:2g.10gb=1,gres/gpu=2", "n1"),
    ];
    node.write("jobs.txt", &(sacct(&requests, 700) + "\u{1b}[31m|\n1|cut o"));
    let jobs = node.path("jobs.txt").display().to_string();
    let document = node.json(&["advise", "--jobs", &jobs, "--nodes", "n1=2xa100-40gb"]);
    insta::assert_json_snapshot!(document["skipped"]);
    assert_eq!((document["parted"].as_u64(), document["groups"][0]["jobs"].as_u64()), (Some(100), Some(300)));
}

#[test]
fn a_file_without_jobs_is_an_error_that_says_what_to_do() {
    let node = Node::new("a100-40gb:2");
    for text in ["", "\n\n", "JobID|State\n", "\u{0}\u{1}\u{2}", "submit,run\nnever,long\n"] {
        node.write("jobs.txt", text);
        let jobs = node.path("jobs.txt").display().to_string();
        let said = refused(&node, &["advise", "--jobs", &jobs]);
        assert!(
            said.starts_with("error: ") && said.contains("jobs.txt: ") && said.contains("\nhint: "),
            "{said}"
        );
        assert!(!said.contains('\u{1}'), "{said:?}");
    }
    let said = refused(&node, &["advise", "--jobs", "/none", "--nodes", "n1=2xa100-41gb"]);
    assert!(said.contains("a100-41gb: no such GPU model"), "{said}");
}

/// What is done to good lines of sacct, and a word of what is said then: in the count of what was skipped, in the text where
/// nothing was, or in the error.
#[test]
fn whatever_the_text_is_it_is_counted_or_refused() {
    let node = Node::new("a100-40gb:2");
    let good = sacct(&[("gres/gpu:1g.5gb=1,gres/gpu=1", "n1")], 400);
    let (heading, lines) = good.split_once('\n').unwrap();
    let last = lines.lines().last().unwrap();
    let with = |line: &str| format!("{good}{line}\n");
    let field = |old: &str, new: &str| with(&last.replace(old, new));
    let times = last.split('|').collect::<Vec<_>>();
    let csv = |lines: &str| format!("submit,run,limit,type\n{}{lines}", "100,200,300,1g.5gb\n".repeat(400));
    let cases: Vec<(&str, String, &str)> = vec![
        ("a byte order mark", format!("\u{feff}{good}"), "cut"),
        ("the heading again", format!("{good}{good}"), "cut"),
        ("carriage returns", good.replace('\n', "\r\n"), "cut"),
        ("no heading", lines.to_owned(), "lines that are no job"),
        ("another delimiter", good.replace('|', ";"), "error: "),
        ("UTF-16", good.chars().flat_map(|c| [c, '\0']).collect(), "error: "),
        ("JSON", "{\"jobs\": []}".to_owned(), "error: "),
        ("a translated heading", good.replace("Submit|Start", "Eingereicht|Beginn"), "error: "),
        ("the heading alone", heading.to_owned(), "it is empty"),
        ("cut in a line", good[..good.len() - 20].to_owned(), "lines that are no job"),
        ("a line of nothing but delimiters", with("||||||||"), "not started"),
        ("a line of 2 MB", with(&"x".repeat(2 << 20)), "lines that are no job"),
        ("bytes that nobody can read", with(&format!("\u{1b}[2J\u{7}\0{last}|")), "lines that are no job"),
        ("a type of control characters", field("1g.5gb", "\u{1b}[31m"), "type that these nodes cannot have"),
        ("a translated time", field(times[1], "26. Nov 2026 14:00"), "without times"),
        ("a start beyond 2106", field(times[2], "99999999999"), "without times"),
        ("a start before 1970", field(times[2], "-5"), "without times"),
        ("a run time below nothing", field(times[3], "-300"), "without times"),
        ("submitted in 2106", with("x|4294967000|4294967200|90|9|COMPLETED|1|gres/gpu:1g.5gb=1|n1"), "cut"),
        (
            "the longest run",
            with("x|1760000000|1760000000|4294967295|9|COMPLETED|1|gres/gpu:1g.5gb=1|n1"),
            "",
        ),
        ("GPUs beyond number", field("gpu:1g.5gb=1,gres/gpu=1", "gpu=18446744073709551616"), "without a GPU"),
        (
            "four billion GPUs",
            field("gpu:1g.5gb=1,gres/gpu=1", "gpu=4294967295"),
            "more than these nodes have",
        ),
        ("nodes beyond number", field("|1|gres", "|4294967295|gres"), "more than these nodes have"),
        ("no node", field("|1|gres", "|0|gres"), "cut"),
        ("a list of all nodes there could be", field("|n1", "|n[0-4294967295]"), "on other nodes"),
        ("a list without an end", field("|n1", "|n[1-"), "on other nodes"),
        ("a trace of one second", csv(""), ""),
        ("a trace with jobs on no node", csv("1,2,3,0\n").replace("type", "nodes"), "lines that are no job"),
        (
            "a trace that begins with a mark, in quotes",
            format!("\u{feff}\"submit\",\"run\"\n\"5\",\"{}\"\n", 9),
            "",
        ),
        ("a trace of words", csv("many,none,x,y\nNaN,inf,-0,\n"), "2 without times"),
    ];
    for (what, text, word) in cases {
        node.write("jobs.txt", &text);
        let jobs = node.path("jobs.txt").display().to_string();
        let run = node.run(&["advise", "--jobs", &jobs, "--nodes", "n1=2xa100-40gb", "--samples", "2"]);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!([0, 2].contains(&run.code) && said.contains(word), "{what}: {} {said}", run.code);
        assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{what}: {said:?}");
        // One word about it, not a line for each.
        assert!(said.lines().count() < 40, "{what}: {said}");
    }
}

#[test]
fn what_waits_now_is_compared_by_layout_and_nothing_of_it_printed() {
    let node = Node::new("a100-40gb:2");
    let line = |request: &str, limit: &str| format!("N/A|{request}|N/A|N/A|1|1|{limit}|\n");
    let asked =
        ["1g.5gb", "1g.5gb", "2g.10gb", "3g.20gb"].map(|kind| line(&format!("gres/gpu:{kind}:1"), "1:00:00"));
    let queue = asked.concat()
        + &line("gres/gpu:\u{1b}]0;x|y:1", "30:00")
        + &line("gres/gpu:volta:1", "30:00")
        + "N/A|N/A|N/A|N/A|1|1|30:00|\n";
    node.write("queue.txt", &queue);
    let (jobs, queue) = (example(), node.path("queue.txt").display().to_string());
    let ask = ["advise", "--jobs", &jobs, "--samples", "2", "--queue", &queue];
    let text = node.ok(&ask);
    assert!(text.contains("QUEUE: mean wait of 4 jobs that wait now, were these GPUs idle"), "{text}");
    assert!(!text.contains('\u{1b}') && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let document = node.json(&ask);
    let layouts = &document["groups"][0]["layouts"];
    let mean = |at: usize| layouts[at]["queue_mean_s"].as_f64().unwrap();
    assert!(mean(0) < mean(2), "{layouts}");
    assert_eq!(document["groups"][0]["queued"], 4);
    let queue_skipped = document["queue_skipped"].as_object().unwrap();
    assert_eq!(queue_skipped.values().filter_map(|count| count.as_u64()).collect::<Vec<_>>(), [1, 1, 1]);
    assert!(refused(&node, &["advise", "--jobs", &jobs, "--queue", "/none"]).contains("/none: "));
}
