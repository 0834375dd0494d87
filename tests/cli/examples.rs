//! The example configurations: each is what it says it is for, and what the schema says a configuration is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::node::Node;

fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path).canonicalize().unwrap()
}

fn examples() -> Vec<PathBuf> {
    let files = std::fs::read_dir(checkout("examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}

/// Every layout of every example fits the model that the file is named after.
#[test]
fn every_layout_of_every_example_can_be_planned() {
    let files = examples();
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let layouts: Vec<&str> = text
            .lines()
            .skip_while(|line| *line != "mig-configs:")
            .take_while(|line| *line != "slurm:")
            .filter_map(|line| {
                line.strip_prefix("  ")?.strip_suffix(':').filter(|l| !l.starts_with([' ', '#']))
            })
            .collect();
        assert!(layouts.len() >= 4, "{}: {layouts:?}", file.display());
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let node = Node::new(&format!("{}:2", if stem == "config" { "a100-40gb" } else { stem }));
        for layout in layouts {
            let run = node.run(&["--config", file.to_str().unwrap(), "--layout", layout, "plan"]);
            assert_eq!((run.code, &*run.stderr), (0, ""), "{stem}: {layout}");
            let planned = run.stdout.contains("create") || layout == "whole";
            assert!(planned, "{stem}: {layout}: {}", run.stdout);
        }
    }
}

/// Reads pairs of a schema and a YAML document, and prints whether the one holds for the other.
const JUDGE: &str = "
import json, sys, yaml, jsonschema
for schema, text in json.load(sys.stdin):
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    errors = list(validator(schema).iter_errors(yaml.safe_load(text)))
    print('right' if not errors else 'wrong: ' + errors[0].message.replace('\\n', ' '))
";

/// What python3-jsonschema says of each text by its schema.
fn judged(pairs: &[(Value, String)]) -> Vec<String> {
    let mut judge = Command::new("python3");
    judge.args(["-c", JUDGE]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut judge = judge.spawn().expect("python3 with jsonschema and yaml: make setup-tests");
    serde_json::to_writer(judge.stdin.take().unwrap(), pairs).unwrap();
    let output = judge.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// YAML blocks of the documents that are configurations, and the examples.
fn right() -> Vec<String> {
    let mut texts: Vec<String> =
        examples().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for entry in std::fs::read_dir(checkout("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        texts.extend(blocks.filter(|block| block.starts_with("version: v1")).map(str::to_owned));
    }
    texts
}

#[test]
fn the_schema_takes_what_gresgen_takes_and_no_more() {
    let node = Node::new("a100-40gb");
    let schema = node.json(&["schema"]);
    let judged = |texts: &[String]| {
        judged(&texts.iter().map(|text| (schema.clone(), text.clone())).collect::<Vec<_>>())
    };
    let right = right();
    assert!(right.len() >= 8, "{}", right.len());
    for (text, said) in right.iter().zip(judged(&right)) {
        assert_eq!(said, "right", "{text}");
    }
    // Each is refused by gresgen, too.
    let wrong = [
        "version: v2",
        "layout: a",
        "version: v1\nlayuot: a",
        "version: v1\nmig-configs: [a]",
        "version: v1\nmig-configs: {a: {devices: all, mig-enabled: true}}",
        "version: v1\nmig-configs: {a: [{devices: all}]}",
        "version: v1\nmig-configs: {a: [{devices: {b: 1}, mig-enabled: false}]}",
        "version: v1\nmig-configs: {a: [{devices: all, mig-enabled: maybe}]}",
        "version: v1\nmig-configs: {a: [{devices: all, mig-enabled: true, per: rack, mig-devices: {1g.5gb: 1}}]}",
        "version: v1\nmig-configs: {a: [{devices: all, mig-enabled: true, mig-devices: {1g.5gb: many}}]}",
        "version: v1\nmig-configs: {a: [{devices: all, mig-enabled: true, mig-devices: {1g.5gb: {places: 1}}}]}",
        "version: v1\nslurm: {nodename: n1}",
        "version: v1\nslurm: {nodes: [{names: n1}]}",
        "version: v1\nslurm: {types: {pattern: 1}}",
        "version: v1\nslurm: {billing: sm}",
        "version: v1\nslurm: {cgroup: {ConstrainCores: [yes]}}",
    ];
    let texts: Vec<String> = wrong.iter().map(|text| (*text).to_owned()).collect();
    for (text, said) in wrong.iter().zip(judged(&texts)) {
        assert!(said.starts_with("wrong: "), "{text}: {said}");
    }
    for text in wrong {
        node.write("etc/gresgen/config.yaml", text);
        assert_eq!(node.run(&["plan"]).code, 2, "{text}");
    }
}

/// A node with two slices, as scontrol prints it.
const CONTROLLER: &str = "#!/bin/sh
case \"$*\" in
ping) echo 'Slurmctld(primary) at c is UP' ;;
*'show node') echo 'NodeName=n1 Gres=gpu:1g.5gb:2 GresUsed=gpu:1g.5gb:1(IDX:0) State=MIXED Partitions=p' ;;
*'show partition') echo 'PartitionName=p TRESBillingWeights=CPU=1.0,GRES/gpu:1g.5gb=0.143' ;;
esac
";

/// Every verb that prints JSON prints what its schema says, and a schema says something.
#[test]
fn what_is_printed_is_what_the_schema_says() {
    let node = Node::with_layout(
        "a100-40gb:2",
        &["devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2, 1c.3g.20gb: 2}"],
    );
    let mut pairs = Vec::new();
    // A controller, as far as `slices` asks it.
    node.write("bin/scontrol", CONTROLLER);
    node.write(
        "bin/squeue",
        "#!/bin/sh\nword=${SQUEUE_FORMAT2#*|}\necho \"1|${word%%|*}|N/A|gres:gpu:1g.5gb:1|N/A|N/A|1|1|\"\n",
    );
    for program in ["scontrol", "squeue"] {
        std::fs::set_permissions(
            node.path(&format!("bin/{program}")),
            std::fs::Permissions::from_mode(0o755),
        )
        .unwrap();
    }
    let mut say = |schema: &str, arguments: &[&str]| {
        let document = match arguments[0] {
            "slices" => {
                let mut command = node.command(&[&["--json"], arguments].concat());
                let run =
                    node.finish(command.env("PATH", format!("{}:/usr/bin:/bin", node.path("bin").display())));
                serde_json::from_str(&run.stdout)
                    .unwrap_or_else(|e| panic!("{e}: {}{}", run.stdout, run.stderr))
            }
            _ => node.json(arguments),
        };
        pairs.push((node.json(&["schema", schema]), document.to_string()));
    };
    let other = node.path("first.yaml").display().to_string();
    say("init", &["--config", &other, "init"]);
    say("plan", &["plan"]);
    say("apply", &["apply"]);
    say("apply", &["apply"]);
    node.occupy(&node.uuids()[0], std::process::id());
    say("plan", &["plan"]);
    say("status", &["status"]);
    say("status", &["status", "0"]);
    say("history", &["history"]);
    say("profiles", &["profiles"]);
    say("profiles", &["profiles", "--model", "rtx-pro-6000-blackwell-96gb"]);
    say("profiles", &["profiles", "--models"]);
    say("check", &["check"]);
    say("env", &["env"]);
    say("env", &["env", "--devices"]);
    say("render", &["render"]);
    say("render", &["render", "--context"]);
    say("render", &["render", "--print", "users"]);
    say("config", &["export"]);
    say("order", &["order"]);
    say("slices", &["slices"]);
    say("slices", &["slices", "--memory", "4G"]);
    let jobs = checkout("examples/jobs.csv").display().to_string();
    say("advise", &["advise", "--jobs", &jobs, "--nodes", "g[1-2]=2xa100-40gb"]);
    node.write("var/lib/nvml-sim/processes", "");
    say("apply", &["mode", "off", "all"]);
    say("status", &["status"]);
    // No document is that of another verb, and each without one of its keys is none.
    let right = pairs.len();
    let mut wrong = Vec::new();
    // What apply prints has all that render does.
    let (render, apply) = (node.json(&["schema", "render"]), node.json(&["schema", "apply"]));
    let is_part = |schema: &Value, of: &Value| *schema == render && *of == apply;
    for (at, (schema, _)) in pairs.iter().enumerate() {
        wrong.extend(
            pairs
                .iter()
                .filter(|other| other.0 != *schema)
                .filter(|other| !is_part(schema, &other.0))
                .map(|other| (schema.clone(), other.1.clone())),
        );
        let mut less: Value = serde_json::from_str(&pairs[at].1).unwrap();
        let fields = match &mut less {
            Value::Array(elements) => elements[0].as_object_mut(),
            document => document.as_object_mut(),
        };
        let fields = fields.unwrap();
        // Keys that may be missing anyway.
        let optional = ["mig-configs", "layout", "error", "steps", "files", "layout_before"];
        let first = fields.keys().find(|key| !optional.contains(&key.as_str())).unwrap().clone();
        fields.remove(&first);
        wrong.push((schema.clone(), less.to_string()));
    }
    let said = judged(&[&pairs[..], &wrong].concat());
    for (pair, said) in pairs.iter().zip(&said) {
        assert_eq!(said, "right", "{}", pair.1);
    }
    for (pair, said) in wrong.iter().zip(&said[right..]) {
        assert!(said.starts_with("wrong: "), "{}\n{}", pair.0, pair.1);
    }
}
