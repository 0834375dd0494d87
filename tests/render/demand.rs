//! `gresgen demand` as a process, on stand-ins for Slurm's commands that print what a slurmctld printed.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use crate::fixture::SQUEUE_LINES;
use crate::plain::plain;

const GRESGEN: &str = env!("CARGO_BIN_EXE_gresgen");

/// Two A100 on request of which two jobs have a 3g, and jobs of many forms.
const RECORDED: &str = include_str!("../../gresgen/src/demand/recorded/24.11.5.txt");

const CONFIG: &str = concat!(
    include_str!("../../gresgen/src/demand/recorded/config.yaml"),
    "  node: n1\n",
    "  release: '24.11'\n",
    "  nodes: [{names: n1, attributes: CPUs=32 RealMemory=4000}]\n",
);

/// What a login node has: the configuration, inventories, and Slurm's commands.
struct Login(tempfile::TempDir);

impl Login {
    fn new() -> Self {
        let login = Login(tempfile::tempdir().unwrap());
        login.file("etc/gresgen/config.yaml", CONFIG);
        for (name, text) in parts() {
            login.file(&format!("bin/{name}"), &text);
        }
        let answers = "cd \"${0%/*}\"\ncase \"${0##*/} $*\" in\n\
                      'scontrol ping') echo 'Slurmctld(primary) at c is UP' ;;\n\
                      *'show config') echo 'SelectTypeParameters = CR_CORE' ;;\n\
                      *'show job') cat records ;;\n*'show node') cat nodes ;;\n*'show partition') cat partitions ;;\n\
                      *'show reservation') echo No reservations in the system ;;\n\
                      squeue*) case $SQUEUE_FORMAT in '') lines requests ;; *) lines queued ;; esac ;;\n*) exit 9 ;;\nesac\n";
        // What is asked of jobs is asked of this cluster alone, and what marks squeue's lines is not among its arguments.
        let guard = "[ \"$SCONTROL_LOCAL\" = 1 ] || exit 8\n\
                     case $* in *\"${word:-none}\"*) exit 7 ;; esac\n";
        let script = format!("#!/bin/sh\n{SQUEUE_LINES}{guard}{answers}");
        for name in ["bin/scontrol", "bin/squeue"] {
            login.file(name, &script);
            std::fs::set_permissions(login.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        // What the node says of itself, on GPUs below a directory of its own.
        let node = tempfile::tempdir().unwrap();
        let here = |arguments: &[&str]| {
            let mut command = plain(GRESGEN);
            command.arg("--root").arg(node.path()).args(["--simulate", "a100-40gb:2", "--config"]);
            command.arg(login.path("etc/gresgen/config.yaml")).args(arguments).output().unwrap()
        };
        let applied = here(&["apply", "--offline"]);
        assert!(applied.status.success() || applied.status.code() == Some(6), "{}", both(&applied));
        login.file("inventories/n1.json", &String::from_utf8(here(&["--json", "status"]).stdout).unwrap());
        login
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = plain(GRESGEN);
        command.args(["--root".as_ref(), self.0.path()]).args(arguments).current_dir(self.0.path());
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display())).output().unwrap()
    }
}

/// The parts of the recording. Jobs wait since 1970, and those that run end in the year 3000: how long that is shows in days.
fn parts() -> Vec<(String, String)> {
    let parts = RECORDED.split("== ").skip(1).map(|part| part.split_once('\n').unwrap());
    let part = |(name, text): (&str, &str)| {
        let since = |line: &str| {
            let mut fields: Vec<&str> = line.split('|').collect();
            match name {
                "requests" if fields[4] != "N/A" => fields[4] = "1",
                "queued" if fields[2] == "R" => fields[6] = "32503680000",
                _ => {}
            }
            fields.join("|") + "\n"
        };
        let text = if ["requests", "queued"].contains(&name) {
            text.lines().map(since).collect()
        } else {
            text.to_owned()
        };
        (name.to_owned(), text)
    };
    parts.map(part).collect()
}

fn both(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Without how many days it is.
fn timeless(text: &str) -> String {
    let days = |word: &str| word.len() == 5 || word.len() == 6;
    let number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let line = |line: &str| {
        let words: Vec<&str> =
            line.split(' ').map(|word| if days(word) && number(word) { "MANY" } else { word }).collect();
        words.join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

#[test]
fn who_waits_and_why() {
    let login = Login::new();
    let mut text = String::new();
    let node = ["demand", "--inventory", "inventories"];
    for more in [&[][..], &["--job", "5"], &["--job", "21"], &["--job", "1"], &["--job", "77"]] {
        let output = login.run(&[&node, more].concat());
        let shown = [&node, more].concat().join(" ");
        text += &format!(
            "$ gresgen {shown}\n{}[{}]\n\n",
            timeless(&both(&output)),
            output.status.code().unwrap()
        );
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

/// What squeue prints is more than is read, until it is asked for less of the nodes that jobs name.
#[test]
fn of_a_list_that_is_too_long_jobs_that_name_few_nodes_are_read() {
    let login = Login::new();
    let named = |line: &str| {
        let mut fields: Vec<String> = line.split('|').map(str::to_owned).collect();
        let nodes = if fields[0] == "5" { format!("n[1,{}", "2".repeat(60)) } else { "n1".to_owned() };
        fields[12] = format!("{nodes:64}");
        fields[13] = " ".repeat(64);
        fields.join("|") + "\n"
    };
    let (_, queued) = parts().into_iter().find(|(name, _)| name == "queued").unwrap();
    login.file("bin/cut", &queued.lines().map(named).collect::<String>());
    let script = std::fs::read_to_string(login.path("bin/squeue")).unwrap();
    let long = "*) lines queued ;; esac";
    assert!(script.contains(long));
    let script = script.replace(long, "*%64n*%64x*) lines cut ;; *%n*%x*) yes | head -c 80000000 ;; esac");
    login.file("bin/squeue", &script);
    let output = login.run(&["--json", "demand", "--inventory", "inventories/n1.json"]);
    let all: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", both(&output)));
    let says = |id: u64| {
        let mut rows = all["jobs"].as_array().unwrap().iter();
        rows.find(|row| row["id"] == id).unwrap()["says"].as_str().unwrap()
    };
    let unread = "not looked at: its nodes cannot be read";
    assert_eq!((says(3), says(5)), ("a cut on n1 serves it", unread), "{all}");
}

#[test]
fn programs_are_told_the_same() {
    let login = Login::new();
    let output = login.run(&["--json", "demand", "--inventory", "inventories/n1.json"]);
    let mut all: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", both(&output)));
    let jobs = all["jobs"].as_array().unwrap();
    let words: Vec<(u64, &str)> =
        jobs.iter().map(|job| (job["id"].as_u64().unwrap(), job["verdict"].as_str().unwrap())).collect();
    assert_eq!(words[..3], [(3, "cut"), (5, "cut"), (6, "not-looked-at")], "{words:?}");
    let schema = plain(GRESGEN).args(["schema", "demand"]).output().unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    for key in all.as_object().unwrap().keys() {
        assert!(schema["properties"].get(key).is_some(), "{key}");
    }
    all["jobs"] = all["jobs"].as_array().unwrap()[..2].into();
    all["jobs"].as_array_mut().unwrap().iter_mut().for_each(|job| job["waited"] = 0.into());
    insta::assert_snapshot!(serde_json::to_string_pretty(&all).unwrap());
}

/// A node that wrote nonsense into the common directory, or into a file of another, keeps nobody else from cuts.
#[test]
fn an_inventory_that_cannot_be_read_is_of_its_node_alone() {
    let login = Login::new();
    let good = login.run(&["--json", "demand", "--inventory", "inventories"]);
    let read = |output: &Output| -> serde_json::Value {
        assert!(output.status.success(), "{}", both(output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let inventory = std::fs::read_to_string(login.path("inventories/n1.json")).unwrap();
    login.file("inventories/n8.json", &inventory);
    login.file("inventories/n3.json", "{\"version\": 1, \"node\": \"n3\", \"gpus\": \"\\u001b[2J");
    login.file("inventories/\u{1b}[1m.json", &inventory.replace("\"version\": 1", "\"version\": 9"));
    let output = login.run(&["--json", "demand", "--inventory", "inventories"]);
    let (good, all) = (read(&good), read(&output));
    assert_eq!((&all["cuts"], all["cuts"].as_array().unwrap().len()), (&good["cuts"], 3));
    let why = |node: &str| {
        let unknown = all["unknown"].as_array().unwrap();
        let of = |row: &&serde_json::Value| row["nodes"].as_str().is_some_and(|nodes| nodes.contains(node));
        unknown.iter().find(of).unwrap()["why"].as_str().unwrap().to_owned()
    };
    assert!(why("n8").contains("inventories/n8.json: is the inventory of node n1, not of n8"), "{all}");
    assert!(why("n3").contains("inventories/n3.json: not an inventory"), "{all}");
    assert!(why("[1m").contains("its inventory has version 9"), "{all}");
    let text = login.run(&["demand", "--inventory", "inventories"]);
    let said = both(&text);
    assert!(text.status.success() && said.contains("no cut on n8: inventories/n8.json: is the"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
    // A node that is broken is not free to be cut because its file was named.
    assert_eq!(login.run(&["demand", "--inventory", "inventories/n3.json"]).status.code(), Some(2));
}

#[test]
fn what_is_wrong_is_said() {
    let login = Login::new();
    login.file("inventories/n2.json", &std::fs::read_to_string(login.path("inventories/n1.json")).unwrap());
    login.file("none/x", "");
    login.file(
        "static.yaml",
        &CONFIG.lines().filter(|line| !line.contains("on-request")).collect::<Vec<_>>().join("\n"),
    );
    let node = ["demand", "--inventory", "inventories/n1.json"];
    for (arguments, code, words) in [
        (&["demand", "--inventory", "inventories/n2.json"][..], 2, "is the inventory of node n1, not of n2"),
        (
            &["demand", "--inventory", "inventories/n1.json", "n1=inventories/n2.json"],
            2,
            "node n1: two inventories",
        ),
        (&["demand", "--inventory", "none"], 2, "none: has no NODE.json"),
        (&["demand", "--inventory", "gone.json"], 2, "gone.json: "),
        (&[&node[..], &["--layout", "gone"]].concat(), 2, "gone"),
        (
            &[&node[..], &["--config", "static.yaml"]].concat(),
            2,
            "slurm.on-request: is not in the configuration",
        ),
    ] {
        let output = login.run(arguments);
        let said = both(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(words), "{arguments:?}: {said}");
    }
    std::fs::remove_file(login.path("bin/squeue")).unwrap();
    let output = login.run(&node);
    assert_eq!(output.status.code(), Some(1));
    assert!(both(&output).contains("hint: demand asks slurmctld"), "{}", both(&output));
}

#[test]
fn one_pass_says_where_a_node_is_not_reached() {
    let login = Login::new();
    let config = CONFIG.replace("3g.20gb]}]", "3g.20gb], orders: true}]");
    login.file("etc/gresgen/config.yaml", &format!("{config}  arbiter: {{reach: ['false', '{{node}}']}}\n"));
    let lock = login.path("lock");
    let output = login.run(&["arbiter", "--once", "--lock", lock.to_str().unwrap()]);
    let said = both(&output);
    assert!(said.contains("n1: is not reached"), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
}
