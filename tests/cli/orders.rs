//! Orders on standard input, and what they may not do.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::node::Node;
use crate::plain::plain;

/// Two A100 of which the first takes orders.
const CONFIG: &str = "\
version: v1
layout: small
mig-configs:
  small:
    - devices: all
      mig-enabled: true
      mig-devices: {1g.5gb: {at: [0, 1, 2]}, 3g.20gb: {at: 4}}
slurm:
  node: n1
  nodes:
    - {names: n1, attributes: CPUs=32 RealMemory=4000}
  on-request:
    - {devices: 0, profiles: [1g.5gb, 2g.10gb, 3g.20gb], orders: true}
    - {profiles: [1g.5gb, 3g.20gb]}
";

/// The node on layout `small`.
fn node() -> Node {
    let node = Node::new("a100-40gb:2");
    node.write("etc/gresgen/config.yaml", CONFIG);
    node.ok(&["apply", "-q"]);
    node
}

/// Runs a command with a text on its standard input.
fn send(command: &mut Command, text: &[u8]) -> (i32, String, String) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Whoever is refused may not have read all of it.
    let _ = child.stdin.take().unwrap().write_all(text);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// The answer to an order, which is the exit code, too, and all that is said.
fn answered((code, stdout, stderr): (i32, String, String)) -> Value {
    assert_eq!(stderr, "");
    let answer: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"));
    assert_eq!(answer["exit"], code, "{answer:#}");
    answer
}

impl Node {
    fn order(&self, text: impl ToString) -> Value {
        let (code, stdout, stderr) = send(&mut self.command(&["order"]), text.to_string().as_bytes());
        let root = self.path("").display().to_string();
        answered((code, stdout.replace(root.trim_end_matches('/'), "[ROOT]"), stderr))
    }

    fn gpu(&self, index: usize) -> String {
        self.json(&["status"])["gpus"][index]["uuid"].as_str().unwrap().to_owned()
    }

    /// Instances of a GPU, by place.
    fn cut(&self, gpu: usize) -> Vec<String> {
        let status = self.json(&["status"]);
        let mut instances: Vec<(u64, String)> = status["gpus"][gpu]["instances"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| (i["start"].as_u64().unwrap(), i["profile"].as_str().unwrap().to_owned()))
            .collect();
        instances.sort();
        instances.into_iter().map(|(start, profile)| format!("{profile} at {start}")).collect()
    }
}

fn place(text: &str) -> Value {
    let (profile, start) = text.split_once(" at ").unwrap();
    json!({"profile": profile, "start": start.parse::<u8>().unwrap()})
}

fn cut(gpu: &str, destroy: &[&str], create: &[&str]) -> Value {
    let places = |list: &[&str]| list.iter().map(|text| place(text)).collect::<Vec<_>>();
    json!({"cut": {"gpus": [{"gpu": gpu, "destroy": places(destroy), "create": places(create)}], "job": "17"}})
}

const SMALL: [&str; 4] = ["1g.5gb at 0", "1g.5gb at 1", "1g.5gb at 2", "3g.20gb at 4"];
const LARGE: [&str; 2] = ["3g.20gb at 0", "3g.20gb at 4"];

#[test]
fn an_order_cuts_a_gpu_that_takes_orders_and_is_no_drift() {
    let node = node();
    let gpu = node.gpu(0);
    let look = node.order(json!({"look": {}}));
    assert_eq!(look["code"], "done");
    let of = |document: &Value| document["gpus"].as_array().unwrap().clone();
    assert_eq!(of(&look["look"]), of(&node.json(&["status"])));
    assert_eq!(look["offers"], json!({gpu.clone(): ["1g.5gb", "2g.10gb", "3g.20gb"]}));

    let order = cut(&gpu, &SMALL[..3], &LARGE[..1]);
    let from = "192.0.2.7 50000 192.0.2.1 22";
    let mut command = node.command(&["order"]);
    command
        .env_remove("SLURMD_NODENAME")
        .env("SSH_CONNECTION", from)
        .env("SSH_ORIGINAL_COMMAND", "gresgen clear all");
    let done = answered(send(&mut command, order.to_string().as_bytes()));
    assert_eq!((&done["code"], &done["cut"]["changed"]), (&json!("done"), &json!(true)), "{done:#}");
    assert_eq!(node.cut(0), LARGE);
    assert_eq!(node.cut(1), SMALL);
    let last = node.json(&["history", "-n", "1"])[0].clone();
    assert_eq!(last["what"], "order for job 17, from 192.0.2.7");
    assert_eq!(node.order(&order)["code"], "nothing", "an order that comes twice");

    // It stays until a layout is asked for by name, or a boot.
    let plan = node.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}", plan.stdout);
    assert!(
        plan.stderr.contains("GPU 0: takes orders and stays as they have left it; --layout small"),
        "{}",
        plan.stderr
    );
    let layout =
        |check: Value| check.as_array().unwrap().iter().find(|l| l["name"] == "layout").unwrap().clone();
    assert_eq!(layout(node.json(&["check"]))["verdict"], "pass");
    node.ok(&["apply", "-q"]);
    assert_eq!(node.cut(0), LARGE);
    assert_eq!(node.run(&["--layout", "small", "plan", "--detailed-exitcode"]).code, 10);
    node.ok(&["apply", "--boot", "-q"]);
    assert_eq!(node.cut(0), SMALL);
    assert_eq!(node.order(&order)["code"], "done");
    node.ok(&["--layout", "small", "apply", "-q"]);
    assert_eq!(node.cut(0), SMALL);
    assert_eq!(node.order(json!({"cut": {"gpus": []}}))["code"], "nothing");
}

/// Closed and opened as a node without slurmctld sees it: files, status, plan, check, boot, and who opens what.
#[test]
fn what_an_order_closes_stays_so_until_it_is_opened() {
    let node = node();
    let gpu = node.gpu(0);
    let order = |lists: Value| {
        let mut change = json!({"gpu": gpu});
        change.as_object_mut().unwrap().extend(lists.as_object().unwrap().clone());
        node.order(json!({"cut": {"gpus": [change], "job": "17"}}))
    };
    let places = |list: &[&str]| list.iter().map(|text| place(text)).collect::<Vec<_>>();
    // Lines of gres.conf that Slurm gives to nobody, though they name a MIG device.
    let gated = || {
        let gres_conf = node.read("etc/slurm/gres.conf");
        let lines =
            gres_conf.lines().filter(|line| line.contains("Cores=\"\"") && line.contains("nvidia-caps"));
        lines.filter(|line| !line.contains("Type=guard")).count()
    };
    let closed = || {
        let status = node.json(&["status"]);
        let instances =
            status["gpus"].as_array().unwrap().iter().flat_map(|gpu| gpu["instances"].as_array().unwrap());
        let closed = instances.filter(|i| i["closed"] == true);
        let mut closed: Vec<_> =
            closed.map(|i| format!("{} at {}", i["profile"].as_str().unwrap(), i["start"])).collect();
        closed.sort();
        closed
    };
    let (map, ways) = (node.read("run/gresgen/devices"), || node.read("run/gresgen/devices"));
    let rows = |map: &str| {
        map.lines().filter(|line| !line.starts_with("gres-conf ")).map(str::to_owned).collect::<Vec<_>>()
    };

    let done = order(json!({"close": places(&SMALL[2..])}));
    assert_eq!(
        (&done["code"], &done["cut"]["preview"]["changed"]),
        (&json!("done"), &json!(false)),
        "{done:#}"
    );
    assert_eq!((closed(), gated()), (SMALL[2..].iter().map(|s| s.to_string()).collect(), 2));
    assert_eq!(rows(&ways()), rows(&map), "whoever has one goes on with it");
    assert_eq!(order(json!({"close": places(&SMALL[2..])}))["code"], "nothing");
    let last = node.json(&["history", "-n", "1"])[0].clone();
    assert_eq!(last["what"], "order for job 17");
    assert_eq!(last["steps"], json!(["close GPU 0 1g.5gb at 2", "close GPU 0 3g.20gb at 4"]));
    let text = node.ok(&["status"]);
    assert!(text.contains("8 of 21 possible slices are cut, 2 are closed"), "{text}");
    assert_eq!(text.lines().filter(|line| line.ends_with("  closed")).count(), 2, "{text}");

    // It is no drift, and stays where nothing else is asked for by name.
    let plan = node.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}", plan.stdout);
    assert!(plan.stderr.contains("GPU 0: takes orders and stays as they have left it"), "{}", plan.stderr);
    for name in ["layout", "files", "gres.conf", "device map"] {
        let check = node.json(&["check"]);
        let link = check.as_array().unwrap().iter().find(|link| link["name"] == name).unwrap();
        assert_eq!(link["verdict"], "pass", "{link:#}");
    }
    node.ok(&["apply", "-q"]);
    assert_eq!(gated(), 2);

    // What goes is forgotten, what comes is open or not as the order says.
    let done = order(
        json!({"destroy": places(&SMALL[..3]), "create": places(&LARGE[..1]), "close": places(&LARGE[..1])}),
    );
    assert_eq!(done["code"], "done", "{done:#}");
    assert_eq!((closed(), gated()), (LARGE.iter().map(|s| s.to_string()).collect(), 2));
    let done = order(json!({"destroy": places(&LARGE[..1]), "create": places(&SMALL[..3])}));
    assert_eq!((&done["code"], closed(), gated()), (&json!("done"), vec![LARGE[1].to_owned()], 1));
    assert_eq!(order(json!({"open": places(&SMALL)}))["code"], "done");
    assert_eq!((closed(), gated()), (Vec::<String>::new(), 0));

    // Going back opens and closes as it was; a layout that is asked for by name opens all, and so does a boot.
    node.ok(&["apply", "--undo", "-q"]);
    assert_eq!(closed(), [LARGE[1]]);
    let plan = node.run(&["--layout", "small", "plan", "--detailed-exitcode"]);
    assert_eq!(
        (plan.code, plan.stdout.lines().next()),
        (10, Some("open GPU 0 3g.20gb at 4")),
        "{}",
        plan.stdout
    );
    node.ok(&["--layout", "small", "apply", "-q"]);
    assert_eq!((closed(), gated()), (vec![], 0));
    assert_eq!(order(json!({"close": places(&SMALL[..1])}))["code"], "done");
    node.ok(&["apply", "--boot", "-q"]);
    assert_eq!((closed(), gated()), (vec![], 0));

    // So does an apply that changes nothing else: the cut is another one than that of the layout.
    let done = order(
        json!({"destroy": places(&SMALL[..3]), "create": places(&LARGE[..1]), "close": places(&LARGE)}),
    );
    assert_eq!((&done["code"], closed().len(), gated()), (&json!("done"), 2, 2), "{done:#}");
    for (arguments, says) in [
        (&["--layout", "small", "apply", "--open"][..], "--open: not with --layout"),
        (&["--layout", "small", "plan", "--open"], "--open: not with --layout"),
        (&["apply", "--open", "--undo"], "cannot be used with"),
        (&["apply", "--open", "--boot"], "cannot be used with"),
    ] {
        node.run(arguments).refused(2, says);
    }
    let plan = node.run(&["plan", "--detailed-exitcode"]);
    assert!(plan.code == 0 && plan.stderr.contains(", --open opens what is closed"), "{}", plan.stderr);
    let plan = node.run(&["plan", "--open", "--detailed-exitcode"]);
    let gates: Vec<&str> = plan.stdout.lines().take(2).collect();
    assert_eq!((plan.code, &gates[..]), (10, &["open GPU 0 3g.20gb at 0", "open GPU 0 3g.20gb at 4"][..]));
    node.ok(&["apply", "--open", "-q"]);
    assert_eq!((node.cut(0), closed(), gated()), (LARGE.map(str::to_owned).to_vec(), vec![], 0));
    let last = node.json(&["history", "-n", "1"])[0].clone();
    assert_eq!((&last["what"], &last["steps"]), (&json!("open"), &json!(gates)));
    assert_eq!(node.run(&["plan", "--open", "--detailed-exitcode"]).code, 0);
    node.ok(&["apply", "--undo", "-q"]);
    assert_eq!((node.cut(0), closed().len()), (LARGE.map(str::to_owned).to_vec(), 2));
    node.ok(&["--layout", "small", "apply", "-q"]);

    // A node that takes no orders any more could have nobody open what they closed.
    assert_eq!(order(json!({"close": places(&SMALL[..1])}))["code"], "done");
    node.write("etc/gresgen/config.yaml", &CONFIG.replace(", orders: true", ""));
    assert_eq!(closed(), [""; 0]);
    node.ok(&["apply", "-q"]);
    assert_eq!(gated(), 0);
}

#[test]
fn what_an_order_may_not_do_is_refused_and_changes_nothing() {
    let node = node();
    let (first, second) = (node.gpu(0), node.gpu(1));
    let long = format!("{}{{\"look\": {{}}}}", " ".repeat(70_000));
    let other = "GPU-00000000-0000-4000-8000-000000000009";
    for (order, code, exit, words) in [
        ("".to_owned(), "invalid", 2, "order: EOF"),
        (long, "invalid", 2, "has more than 65536 bytes"),
        ("{\"apply\": {\"\u{1b}[2J\": 1}}".to_owned(), "invalid", 2, "unknown variant"),
        (json!({"cut": {"gpus": [], "\u{9b}31m": 1}}).to_string(), "invalid", 2, "unknown field"),
        (json!({"cut": {"gpus": [], "job": "17;id"}}).to_string(), "invalid", 2, "job is not the number"),
        (cut("0", &[], &[]).to_string(), "invalid", 2, "gpu is not the UUID"),
        (cut(other, &[], &[]).to_string(), "refused", 2, "no such GPU"),
        (cut(&second, &SMALL[..1], &[]).to_string(), "refused", 2, "GPU 1: takes no orders"),
        (cut(&first, &SMALL, &["7g.40gb at 0"]).to_string(), "refused", 2, "7g.40gb at 0: is not on offer"),
        (cut(&first, &[], &["1g.5gb at 3", "2g.10gb at 2"]).to_string(), "refused", 2, "cannot hold"),
        (
            cut(&first, &["2g.10gb at 2"], &["1g.5gb at 3"]).to_string(),
            "stale",
            2,
            "2g.10gb at 2: is not there",
        ),
    ] {
        let answer = node.order(&order);
        assert_eq!((&answer["code"], &answer["exit"]), (&json!(code), &json!(exit)), "{order}: {answer:#}");
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(words), "{order}: {error}");
    }
    assert_eq!(
        (node.cut(0), node.cut(1)),
        (SMALL.map(str::to_owned).to_vec(), SMALL.map(str::to_owned).to_vec())
    );
    assert_eq!(node.json(&["history"]).as_array().unwrap().len(), 1);

    // Who has what would go, and who changes the node.
    let order = cut(&first, &SMALL[..3], &LARGE[..1]);
    let status = node.json(&["status"]);
    let instances = status["gpus"][0]["instances"].as_array().unwrap();
    let held = instances.iter().find(|instance| instance["start"] == 0).unwrap();
    node.occupy(held["compute"][0]["uuid"].as_str().unwrap(), std::process::id());
    let answer = node.order(&order);
    assert_eq!((&answer["code"], &answer["exit"]), (&json!("in-use"), &json!(4)), "{answer:#}");
    let named = format!("process {}", std::process::id());
    assert!(answer["error"].as_str().unwrap().contains(&named), "{answer:#}");
    node.write("var/lib/nvml-sim/processes", "");
    let inner = node.command(&["order"]);
    let mut locked = plain("flock");
    locked.arg(node.path("run/gresgen/lock")).arg(inner.get_program()).args(inner.get_args());
    locked.env("SLURMD_NODENAME", "n1");
    let answer = answered(send(&mut locked, order.to_string().as_bytes()));
    assert_eq!((&answer["code"], &answer["exit"]), (&json!("locked"), &json!(4)), "{answer:#}");

    // What the other side of a connection may have set.
    for (name, value) in [("GRESGEN_ROOT", "/"), ("GRESGEN_NVML_LIB", "/tmp/x.so"), ("SLURM_CONF", "/tmp/x")]
    {
        let mut command = node.command(&["order"]);
        command
            .env("SSH_CONNECTION", "192.0.2.7 1 192.0.2.1 22")
            .env_remove("SLURMD_NODENAME")
            .env(name, value);
        let answer = answered(send(&mut command, order.to_string().as_bytes()));
        assert_eq!(answer["exit"], 2, "{answer:#}");
        assert!(answer["error"].as_str().unwrap().starts_with(&format!("{name}: is set")), "{answer:#}");
    }
    assert_eq!(node.cut(0), SMALL);

    // What the configuration asks for beside is the admin's to do.
    node.write("etc/gresgen/config.yaml", &CONFIG.replace("RealMemory=4000", "RealMemory=5000"));
    let answer = node.order(&order);
    assert_eq!(answer["code"], "refused", "{answer:#}");
    assert!(
        answer["error"].as_str().unwrap().contains("gresgen-node.conf: is not as the configuration says")
    );
    node.write("etc/gresgen/config.yaml", &CONFIG.replace("2g.10gb, 3g.20gb], orders", "3g.20gb], orders"));
    assert_eq!(node.order(&order)["code"], "refused");
    node.write("etc/gresgen/config.yaml", CONFIG);
    assert_eq!(node.order(&order)["code"], "done");
}

#[test]
fn an_order_that_was_killed_is_finished_by_the_next_or_by_an_apply() {
    let node = node();
    let gpu = node.gpu(0);
    let killed = |order: &Value, at: u32| {
        let mut command = node.command(&["order"]);
        let (code, stdout, _) =
            send(command.env("NVML_SIM_FAULTS", format!("kill@{at}")), order.to_string().as_bytes());
        assert_eq!((code, stdout.as_str()), (-1, ""));
    };
    // Three go, with their compute instances first; one comes, and is divided last: it dies before that.
    killed(&cut(&gpu, &SMALL[..3], &LARGE[..1]), 8);
    assert_eq!(node.json(&["status"])["interrupted"], "order for job 17");
    assert_eq!(node.order(json!({"cut": {"gpus": []}}))["code"], "done");
    assert_eq!((node.cut(0), node.uuids().len()), (LARGE.map(str::to_owned).to_vec(), 6), "it is whole");
    let interrupted = || node.json(&["status"])["interrupted"].clone();
    assert_eq!(interrupted(), Value::Null);

    killed(&cut(&gpu, &LARGE[..1], &SMALL[..3]), 3);
    node.ok(&["apply", "-q"]);
    assert_eq!((node.cut(0), interrupted()), (vec![LARGE[1].to_owned()], Value::Null), "what is there stays");
    assert_eq!(node.order(cut(&gpu, &[], &SMALL[..3]))["code"], "done");

    // What opens everything keeps the cut as well, so it finishes an order.
    killed(&cut(&gpu, &SMALL[..3], &LARGE[..1]), 8);
    node.ok(&["apply", "--open", "-q"]);
    assert_eq!((node.cut(0), node.uuids().len()), (LARGE.map(str::to_owned).to_vec(), 6), "it is whole");
    assert_eq!(interrupted(), Value::Null);

    // A change of an admin is not an order's to finish, and not that of what keeps the cut.
    node.run(&["clear", "0", "-q"]);
    let apply = node.finish(node.command(&["apply", "-q"]).env("NVML_SIM_FAULTS", "kill@3"));
    assert_eq!(apply.code, -1);
    let answer = node.order(json!({"cut": {"gpus": []}}));
    assert_eq!(answer["code"], "refused", "{answer:#}");
    assert_eq!(answer["error"], "layout small: was cut off and is not finished");
    node.run(&["apply", "--open"]).refused(2, "layout small: was cut off and is not finished");
}

/// Whoever is connected may hang up, on a terminal that sshd made where the key does not restrict it.
#[test]
fn a_hangup_in_the_middle_stops_nothing() {
    let node = node();
    let hangup = "hooks:\n  before:\n    - {command: /bin/sh, args: [-c, 'kill -HUP $PPID']}\n";
    let gpu = node.gpu(0);
    node.write("etc/gresgen/config.yaml", &format!("{CONFIG}{hangup}"));
    let done = node.order(cut(&gpu, &SMALL[..3], &LARGE[..1]));
    assert_eq!(done["code"], "done", "{done:#}");
    assert_eq!(node.cut(0), LARGE);
}

/// A real sshd, on the standard input of the client and without a port, with the line that docs/on-request.md shows.
#[test]
fn ssh_has_an_order_carried_out_and_nothing_else() {
    let node = node();
    let order = cut(&node.gpu(0), &SMALL[..3], &LARGE[..1]).to_string();
    let path = |name: &str| node.path(name).display().to_string();
    for key in ["host", "key"] {
        let made = plain("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]).status();
        assert!(made.expect("openssh-client").success());
    }
    let command = node.command(&["order"]);
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words: Vec<&str> = words.map(|word| word.to_str().unwrap()).collect();
    assert!(words.iter().all(|word| !word.contains([' ', '"', '\''])), "{words:?}");
    let public = node.read("key.pub");
    node.write("keys", &format!("restrict,command=\"{}\" {public}", words.join(" ")));
    node.write(
        "sshd_config",
        &format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPermitRootLogin forced-commands-only\n\
             AcceptEnv GRESGEN_* SSH_CONNECTION\n",
            path("host"),
            path("keys")
        ),
    );
    // sshd wants a directory of its own below /run, and the host's is left alone.
    node.write(
        "proxy",
        &format!(
            "#!/bin/sh\nexec unshare --mount sh -c 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && \
             exec /usr/sbin/sshd -i -e -f {} 2>>{}'\n",
            path("sshd_config"),
            path("log")
        ),
    );
    let ssh = |arguments: &[&str]| {
        let mut ssh = plain("ssh");
        ssh.args(["-F", "none", "-i", &path("key"), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
        ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o"]);
        ssh.arg(format!("ProxyCommand=sh {}", path("proxy"))).args(arguments);
        ssh
    };
    let log = || fs::read_to_string(node.path("log")).unwrap_or_default();
    let ended = |(code, stdout, stderr): (i32, String, String)| {
        assert_ne!(code, 255, "{stderr}{}", log());
        answered((code, stdout, stderr))
    };
    // What is typed behind the host is not run.
    let look = ended(send(&mut ssh(&["root@n1", "gresgen", "clear", "all"]), b"{\"look\": {}}"));
    assert_eq!(look["look"]["node"], "n1", "{look:#}");
    assert_eq!(node.cut(0), SMALL);
    let set = ["-o", "SetEnv=GRESGEN_NVML_LIB=/tmp/x.so", "root@n1"];
    let refused = ended(send(&mut ssh(&set), order.as_bytes()));
    assert!(refused["error"].as_str().unwrap().starts_with("GRESGEN_NVML_LIB: is set"), "{refused:#}");
    // Where from, sshd alone says: of a connection without a port nothing.
    let forged = ["-o", "SetEnv=\"SSH_CONNECTION=203.0.113.9 1 203.0.113.1 22\"", "root@n1"];
    let done = ended(send(&mut ssh(&forged), order.as_bytes()));
    assert_eq!(done["code"], "done", "{done:#}");
    assert_eq!(node.cut(0), LARGE);
    assert_eq!(node.json(&["history", "-n", "1"])[0]["what"], "order for job 17");
    let refused =
        ended(send(&mut ssh(&["root@n1"]), cut(&node.gpu(1), &SMALL[..1], &[]).to_string().as_bytes()));
    assert_eq!((&refused["exit"], &refused["code"]), (&json!(2), &json!("refused")), "{refused:#}");
}
