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
