//! `gresgen slices` on stand-ins for Slurm's commands, and beside a real slurmctld.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Output, Stdio};

use lab::{FakeGpus, Lab, Node, Options, Release, User};

use crate::fixture::SQUEUE_LINES;
use crate::plain::plain;

const GRESGEN: &str = env!("CARGO_BIN_EXE_gresgen");

/// A cluster of a login node's view: what Slurm's commands print.
struct StandIn(tempfile::TempDir);

impl StandIn {
    fn new(nodes: &str, partitions: &str, waiting: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        file("nodes", nodes);
        file("partitions", partitions);
        file("waiting", waiting);
        let answers = "cd \"${0%/*}\"\ncase \"${0##*/} $*\" in\n'scontrol ping') echo 'Slurmctld(primary) at c is UP' ;;\n\
                      *'show node') cat nodes ;;\n*'show partition') cat partitions ;;\nsqueue*) lines waiting ;;\n*) exit 9 ;;\nesac\n";
        let script = format!("#!/bin/sh\n{SQUEUE_LINES}{answers}");
        for name in ["scontrol", "squeue"] {
            file(name, &script);
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(directory.path().join(name), mode).unwrap();
        }
        StandIn(directory)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        let mut command = plain(GRESGEN);
        command.args(["--root".as_ref(), self.0.path()]).arg("slices").args(arguments);
        command.env("PATH", path).output().unwrap()
    }
}

fn both(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

const NODES: &str = "\
NodeName=g1 CPUAlloc=4 State=MIXED Gres=gpu:1g.5gb:4,gpu:3g.20gb:1 GresUsed=gpu:1g.5gb:3(IDX:0-2),gpu:3g.20gb:0(IDX:N/A)
NodeName=g2 CPUAlloc=0 State=IDLE Gres=gpu:1g.10gb:7 GresUsed=gpu:1g.10gb:0(IDX:N/A)
NodeName=g3 CPUAlloc=0 State=IDLE+DRAIN Gres=gpu:1g.5gb:7 GresUsed=gpu:1g.5gb:0(IDX:N/A) Reason=\u{1b}[31mGres=gpu:1g.5gb:99
NodeName=g4 CPUAlloc=8 State=ALLOCATED Gres=gpu:nvidia_h100_80gb_hbm3_1g.10gb:7,gpu:h100:7 GresUsed=gpu:h100:7(IDX:0-6)
NodeName=c1 CPUAlloc=0 State=IDLE Gres=(null)
";

const PARTITIONS: &str = "\
PartitionName=gpu Nodes=g[1-4] TRESBillingWeights=CPU=1.0,Mem=0.25G,GRES/gpu:1g.5gb=0.571,GRES/gpu:3g.20gb=2.0
PartitionName=debug Nodes=g1 TRESBillingWeights=GRES/gpu:1g.5gb=0.1
PartitionName=cpu Nodes=c1
";

const WAITING: &str = "N/A|gres:gpu:1g.5gb:2|N/A|N/A|1|1|\nN/A|gres:gpu:\u{1b}]0;x|y:1|N/A|N/A|1|1|\nN/A|N/A|N/A|gres:gpu:1|1|3|\n";

#[test]
fn a_login_node_sees_what_there_is() {
    let cluster = StandIn::new(NODES, PARTITIONS, WAITING);
    let mut text = String::new();
    for arguments in [
        &[][..],
        &["--json"],
        &["--memory", "5G"],
        &["--memory", "8G", "-q"],
        &["--memory", "20GB", "--json"],
        &["--memory", "200G"],
        &["--memory", "much"],
    ] {
        let output = cluster.run(arguments);
        text += &format!("$ gresgen slices {}\n{}", arguments.join(" "), both(&output));
        text += &format!("[{}]\n\n", output.status.code().unwrap());
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80 || line.starts_with("error:")), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    insta::assert_snapshot!(text);
}

/// Of GPUs on request slurmctld has a record of each place, and guards, which nobody is given.
#[test]
fn what_is_cut_on_request_is_said_to_be() {
    let node = |name: &str| {
        format!(
            "NodeName={name} State=IDLE Gres=gpu:1g.5gb:7,gpu:3g.20gb:2,gpu:guard:9,gresgen:gate:2(S:0) \
             GresUsed=gpu:1g.5gb:1(IDX:0),gpu:3g.20gb:0(IDX:N/A),gpu:guard:0(IDX:N/A)\n"
        )
    };
    let said = |nodes: &str| String::from_utf8(StandIn::new(nodes, "", "").run(&[]).stdout).unwrap();
    let one = said(&node("g1"));
    assert!(!one.contains("guard") && one.lines().all(|line| line.chars().count() <= 80), "{one}");
    let note = "cut on request: 1 node, of which every place counts, and not all can be taken\n";
    assert!(one.contains("1g.5gb ") && one.ends_with(note), "{one}");
    assert!(said(&(node("g1") + &node("g2"))).contains("cut on request: 2 nodes, of"));
}

#[test]
fn where_slurmctld_is_not_there_it_says_so() {
    let nothing = tempfile::tempdir().unwrap();
    let output = plain(GRESGEN)
        .args(["--root".as_ref(), nothing.path()])
        .arg("slices")
        .env("PATH", nothing.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(both(&output).contains("hint: slices asks slurmctld"), "{}", both(&output));
    assert!(StandIn::new("", "", "").run(&[]).stdout == b"no node has a GPU\n");
}

/// A device map of two types, so that a job's devices are not known without slurmctld.
const MAP: &str = "gresgen-devices 1\nnode n1\nboot BOOT\ncolumns index type uuid parent gi ci files\n\
    0 1g.5gb MIG-x GPU-a 7 0 /dev/c1=9:1\n1 3g.20gb MIG-y GPU-a 2 0 /dev/c2=9:2\nend 2\n";

/// A node of a cluster below the stand-in, whose `scontrol` is this script, with the map of a boot. What it gives runs
/// `gresgen` by another program.
fn on_node(cluster: &StandIn, scontrol: &str, boot: &str) -> impl Fn(&[&str], &[&str]) -> Child {
    let root = cluster.0.path().to_owned();
    std::fs::write(root.join("scontrol"), scontrol).unwrap();
    std::fs::create_dir_all(root.join("run/gresgen")).unwrap();
    std::fs::create_dir_all(root.join("etc/slurm")).unwrap();
    for map in ["devices", "devices.slurmd"] {
        std::fs::write(root.join("run/gresgen").join(map), MAP.replace("BOOT", boot)).unwrap();
    }
    std::fs::write(root.join("etc/slurm/slurm.conf"), "NodeName=n1\n").unwrap();
    move |command, arguments| {
        let mut run = plain(command[0]);
        run.args(&command[1..]).args([GRESGEN, "--root"]).arg(&root).args(arguments);
        run.env("PATH", format!("{}:/usr/bin:/bin", root.display())).env("SLURMD_NODENAME", "n1");
        run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// Where Slurm's own commands do not come back, as with a MessageTimeout of minutes, these verbs do: in 15 seconds, and not
/// in the 45 that others give one command. `timeout` is for what would wait for ever.
#[test]
fn a_command_of_slurm_that_does_not_end_is_not_waited_for() {
    let cluster = StandIn::new("", "", "");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let run = on_node(&cluster, "#!/bin/sh\nsleep 600\n", boot.trim());
    let verbs: [&[&str]; 3] = [&["slices"], &["env", "--job", "5"], &["metrics"]];
    let late = "slurmctld unreachable: scontrol ping: no answer within 15 s";
    let running = verbs.map(|verb| run(&["timeout", "120"], verb));
    for ((child, code), begins) in running.into_iter().zip([1, 1, 0]).zip([
        format!("error: {late}\n"),
        format!("error: job 5: which devices it has is not known: {late}\n"),
        format!("warning: {late}; "),
    ]) {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.starts_with(&begins) && said.matches(late).count() == 1, "{said}");
    }
}

/// Since a boot no slurmd has run: no job is here, whoever says so, and slurmctld did not. In a process namespace of its
/// own, where no other test runs a slurmd; that takes root.
#[test]
fn a_slurmctld_that_gave_no_answer_is_not_said_to_be_up() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let cluster = StandIn::new("", "", "");
    let run = on_node(&cluster, "#!/bin/sh\nexit 1\n", "of-another-time");
    let alone = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let output = run(&alone, &["metrics"]).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("gresgen_slurmctld_up 0\n"), "{text}{output:?}");
    assert!(text.contains("gresgen_devices_busy{type=\"1g.5gb\"} 0\n"), "{text}");
}

#[test]
fn a_real_cluster_says_the_same() {
    for release in Release::selected() {
        let gpus = FakeGpus::new(&[(0, 7, 0), (0, 8, 0), (0, 9, 0)]);
        let types = ["1g.5gb", "1g.5gb", "3g.20gb"];
        let node =
            Node::new("n1").gres("gpu:1g.5gb:2,gpu:3g.20gb:1").gres_conf(&gpus.gres_conf("n1", &types));
        let options = Options::new(node).gpus(&gpus).file(Path::new(GRESGEN), "/usr/local/bin/gresgen");
        let Some(lab) = lab::require(Lab::start(release, options)) else { return };
        lab.sbatch(User::Root, &["--gres=gpu:1g.5gb:1"], "sleep 60").unwrap();
        lab.sbatch(User::Alice, &["--hold", "--gpus=1g.5gb:2", "--array=1-3"], "true").unwrap();
        lab.sbatch(User::Alice, &["--hold", "-n2", "--gpus-per-task=1"], "true").unwrap();
        lab.sbatch(User::Alice, &["--hold", "--gres=gpu:a|b:1", "-J", "x|y"], "true").unwrap();
        let found = lab.wait("the first job to run", || {
            let text = lab.command(&["gresgen", "slices"]).user(User::Alice).output()?.stdout;
            Ok(text
                .lines()
                .any(|line| line.starts_with("1g.5gb") && line.contains("  1     1 "))
                .then_some(text))
        });
        let expected = "\
TYPE     GB    SMs  TOTAL  USED  FREE  PENDING  NODES  COST
1g.5gb   5.1   14   2      1     1     6        1      -
3g.20gb  21.0  42   1      0     1     0        1      -
2 more are waited for, of any type
not counted: 1 waiting jobs, whose request cannot be read
";
        assert_eq!(found.unwrap(), expected, "{release}");
        // The same jobs, one by one, with their limits.
        let past: String = (0..400).map(|number| format!("{},90,300,1g.5gb\n", number * 60)).collect();
        lab.write_file("/tmp/jobs.csv", format!("submit,run,limit,type\n{past}")).unwrap();
        let advise = ["gresgen", "--json", "advise", "--jobs", "/tmp/jobs.csv", "--samples", "2"];
        let advice =
            lab.run(&[&advise[..], &["--nodes", "n1=2xa100-40gb", "--queue"]].concat()).unwrap().stdout;
        let advice: serde_json::Value = serde_json::from_str(&advice).unwrap();
        assert_eq!(advice["groups"][0]["queued"], 4, "{release}: {advice}");
        assert_eq!(advice["queue_skipped"], serde_json::json!({"lines that are no job": 1}), "{release}");
        let picked =
            lab.run(&["sh", "-c", "srun $(gresgen slices -q --memory 6G) lab-probe"]).unwrap().probes();
        assert_eq!(picked[0].open, gpus.files(2), "{release}");
    }
}
