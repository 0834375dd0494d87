//! What is told of a node while jobs run: to Prolog and Epilog, and to Prometheus, as its own tools read it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::{JobId, Probe, Release, User};

use crate::node::Node;

const SETTINGS: &str = "  plugin:\n    arguments: {dcgm: /run/gresgen/dcgm, gpustat: /run/gresgen/gpustat}\n";

/// A pair as a site would write it.
const SCRIPT: &str = "\
#!/bin/sh
case $SLURM_SCRIPT_CONTEXT in
epilog*) ended=--ended ;;
esac
/usr/local/bin/gresgen env --job \"$SLURM_JOB_ID\" --devices $ended \
    >/var/lab/out/$SLURM_SCRIPT_CONTEXT.$SLURM_JOB_ID 2>&1
exit 0
";

fn start(release: Release) -> Option<Node> {
    start_with(release, SCRIPT)
}

/// A node whose slurmd runs this script before and after each job.
fn start_with(release: Release, script: &str) -> Option<Node> {
    let node = Node::with(release, SETTINGS)?;
    node.gresgen(&["apply"]).must_be(6);
    node.lab.write_file("/etc/slurm/job.sh", script).unwrap();
    let lines = "chmod 755 /etc/slurm/job.sh; printf 'Prolog=/etc/slurm/job.sh\\nEpilog=/etc/slurm/job.sh\\n' >>/etc/slurm/slurm.conf";
    node.lab.run(&["sh", "-c", lines]).unwrap();
    node.lab.start_slurm().unwrap();
    Some(node)
}

/// What a script of slurmd wrote about a job.
fn said(node: &Node, context: &str, job: JobId) -> String {
    let path = format!("/var/lab/out/{context}.{job}");
    node.lab
        .wait("the script to have run", || {
            let said = node.lab.command(&["cat", &path]).output()?;
            Ok(said.success().then_some(said.stdout).filter(|text| !text.is_empty()))
        })
        .unwrap()
}

/// The UUIDs in it.
fn uuids(node: &Node, context: &str, job: JobId) -> Vec<String> {
    let text = said(node, context, job);
    // INDEX TYPE UUID GPU GI CI GPU-UUID DEVICE
    text.lines().map(|line| line.split(' ').nth(2).unwrap_or(line).to_owned()).collect()
}

/// Slurm's variable names the devices of the last type alone; what is asked for by the job names all, and still does when
/// slurmctld knows them no more.
#[test]
fn prolog_and_epilog_learn_every_device_of_a_job() {
    for release in Release::selected() {
        let Some(node) = start(release) else { return };
        let job = node
            .lab
            .sbatch(
                User::Alice,
                &[
                    "-wn1",
                    "--gres=gpu:1g.5gb:1,gpu:3g.20gb:1",
                    "--comment",
                    "x JOB_GRES=gpu:1 Nodes=n1 GRES=gpu:1(IDX:4)",
                ],
                "lab-probe",
            )
            .unwrap();
        let probe = Probe::parse_all(&node.lab.wait_job(job).unwrap().output).remove(0);
        let has: Vec<String> = probe.cuda_list().into_iter().map(str::to_owned).collect();
        // The text spoils the job's record, which then says nothing; the node's sum explains it while no other job runs.
        let clean = node
            .lab
            .sbatch(User::Alice, &["-wn1", "--gres=gpu:1g.5gb:1,gpu:3g.20gb:1"], "lab-probe")
            .unwrap();
        let probe = Probe::parse_all(&node.lab.wait_job(clean).unwrap().output).remove(0);
        assert_eq!(probe.cuda_list().len(), 2, "{release}");
        assert_eq!(uuids(&node, "prolog_slurmd", clean), probe.cuda_list(), "{release}");
        assert_eq!(uuids(&node, "epilog_slurmd", clean), probe.cuda_list(), "{release}");
        let spoiled = said(&node, "prolog_slurmd", job);
        let right = uuids(&node, "prolog_slurmd", job) == has;
        assert!(right || spoiled.starts_with("error: job"), "{release}: {spoiled}, the job has {has:?}");
        let kept = node.lab.run(&["sh", "-c", "ls /run/gresgen/jobs 2>/dev/null | wc -l"]).unwrap();
        assert_eq!(kept.stdout.trim(), "0", "{release}: the Epilog takes it away");
        node.lab.wait_nodes().unwrap();
    }
}

/// A Prolog while slurmctld hangs, with all that may be asked of it then. `timeout` is for a verb that would wait for ever.
const HUNG: &str = "\
#!/bin/sh
[ $SLURM_SCRIPT_CONTEXT = prolog_slurmd ] || exit 0
cd /var/lab/out
ask() {
    file=$1
    shift
    timeout 120 /usr/local/bin/gresgen \"$@\" >$file.stdout 2>$file.stderr
    echo $? >$file.code
}
kill -STOP $(pgrep -x slurmctld)
ask env env --job $SLURM_JOB_ID --devices &
ask metrics metrics --output /var/lab/out/gresgen.prom &
ask slices slices &
wait
kill -CONT $(pgrep -x slurmctld)
echo >continued
exit 0
";

/// Every verb that asks slurmctld in passing ends and names it once; the job starts, and the node stays in service.
#[test]
fn a_slurmctld_that_hangs_holds_nobody_up() {
    for release in Release::selected() {
        let Some(node) = start_with(release, HUNG) else { return };
        let job = node.lab.sbatch(User::Alice, &["-wn1", "--gres=gpu:1g.5gb:1"], "lab-probe").unwrap();
        // Nothing asks slurmctld before it goes on.
        let continued =
            || Ok(node.lab.command(&["cat", "/var/lab/out/continued"]).output()?.success().then_some(()));
        node.lab.wait("the Prolog to end", continued).unwrap();
        let done = node.lab.wait_job(job).unwrap();
        assert_eq!(done.state, "COMPLETED", "{release}: {}", done.output);
        node.lab.wait_nodes().unwrap();
        let read = |name: &str| node.lab.read_file(&format!("/var/lab/out/{name}")).unwrap();
        let unreachable = "slurmctld unreachable: Slurmctld(primary) at ";
        for (verb, code, begins) in [
            ("env", "1", format!("error: job {job}: which devices it has is not known: {unreachable}")),
            ("metrics", "0", format!("warning: {unreachable}")),
            ("slices", "1", format!("error: {unreachable}")),
        ] {
            let said = read(&format!("{verb}.stderr"));
            assert_eq!(read(&format!("{verb}.code")).trim(), code, "{release}, {verb}: {said}");
            assert!(said.starts_with(&begins), "{release}, {verb}: {said}");
            assert_eq!(said.matches("slurmctld unreachable").count(), 1, "{release}, {verb}: {said}");
            assert_eq!(read(&format!("{verb}.stdout")), "", "{release}, {verb}");
        }
        let metrics = read("gresgen.prom");
        judged(&metrics);
        assert!(metrics.contains("gresgen_slurmctld_up 0\n"), "{release}: {metrics}");
    }
}

#[test]
fn the_epilog_takes_away_what_a_killed_step_said() {
    for release in Release::selected() {
        let Some(node) = start(release) else { return };
        let job = node.waiting("1g.5gb").0;
        let told = |node: &Node| node.lab.run(&["sh", "-c", "ls /run/gresgen/dcgm | wc -l"]).unwrap().stdout;
        assert_eq!(told(&node).trim(), "1", "{release}");
        let kill = format!(
            "for p in $(grep -slE 'slurmstepd: \\[{job}\\.' /proc/[0-9]*/cmdline); do kill -9 $(echo $p | cut -d/ -f3); done; scancel {job}"
        );
        node.lab.run(&["sh", "-c", &kill]).unwrap();
        uuids(&node, "epilog_slurmd", job);
        node.lab.wait("the file to be gone", || Ok((told(&node).trim() == "0").then_some(()))).unwrap();
        // What a second look finds is the same.
        node.gresgen(&["metrics"]).must_be(0);
    }
}

/// A node_exporter on a directory, as Debian packages it.
struct NodeExporter {
    process: Child,
    address: String,
}

impl NodeExporter {
    fn start(directory: &std::path::Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let process = Command::new("prometheus-node-exporter")
            .args(["--collector.disable-defaults", "--collector.textfile"])
            .arg(format!("--collector.textfile.directory={}", directory.display()))
            .arg(format!("--web.listen-address={address}"))
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus-node-exporter is installed (make setup-tests)");
        NodeExporter { process, address }
    }

    /// What Prometheus would scrape.
    fn scrape(&self) -> String {
        let begin = Instant::now();
        loop {
            if let Ok(mut stream) = TcpStream::connect(&self.address) {
                stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                return text;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "node_exporter does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for NodeExporter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `promtool check metrics` has nothing to say.
pub(crate) fn judged(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed (make setup-tests)");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{text}");
}

#[test]
fn prometheus_reads_who_has_what() {
    for release in Release::selected() {
        let Some(node) = start(release) else { return };
        let job = node.waiting("3g.20gb").0;
        let plain = node.gresgen(&["metrics"]).must_be(0).stdout;
        judged(&plain);
        assert!(plain.contains("gresgen_devices_busy{type=\"3g.20gb\"} 1\n"), "{release}: {plain}");
        assert!(plain.contains("gresgen_devices_busy{type=\"1g.5gb\"} 0\n"), "{release}: {plain}");
        assert!(plain.contains("gresgen_slurmctld_up 1\n") && !plain.contains("alice"), "{release}: {plain}");
        let all = node.gresgen(&["metrics", "--users", "--jobs", "--driver"]).must_be(0).stdout;
        judged(&all);
        assert!(all.contains("gresgen_user_devices{user=\"alice\"} 1\n"), "{release}: {all}");
        let info = format!("gresgen_device_job_info{{index=\"3\",job=\"{job}\",user=\"alice\"}} 1\n");
        assert!(all.contains(&info), "{release}: {all}");
        assert!(all.contains("gresgen_room{") && all.contains("gresgen_drift_steps 0\n"), "{release}: {all}");

        let directory = tempfile::tempdir().unwrap();
        node.gresgen(&["metrics", "--output", "/var/lab/out/gresgen.prom"]).must_be(0);
        let written = node.lab.read_file("/var/lab/out/gresgen.prom").unwrap();
        std::fs::write(directory.path().join("gresgen.prom"), &written).unwrap();
        let scraped = NodeExporter::start(directory.path()).scrape();
        assert!(scraped.contains("node_textfile_scrape_error 0\n"), "{release}: {scraped}");
        let values = |text: &str| -> Vec<String> {
            let mut lines: Vec<_> =
                text.lines().filter(|line| line.starts_with("gresgen_device")).map(str::to_owned).collect();
            lines.sort();
            lines
        };
        // node_exporter orders labels by name; the numbers stay, one for one.
        let numbers = |lines: Vec<String>| {
            lines.iter().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let (read, wrote) = (values(&scraped), values(&written));
        assert_eq!(read.len(), wrote.len(), "{release}: {scraped}");
        assert_eq!(
            numbers(read).iter().filter(|n| *n == "1").count(),
            numbers(wrote).iter().filter(|n| *n == "1").count()
        );

        // Without slurmctld: by the records of running steps, and said so.
        node.lab.run(&["systemctl", "stop", "slurmctld"]).unwrap();
        let answer = node.gresgen(&["metrics"]).must_be(0).must_say(&["warning: ", "running steps"]);
        judged(&answer.stdout);
        assert!(answer.stdout.contains("gresgen_slurmctld_up 0\n"), "{release}: {}", answer.stdout);
        assert!(
            answer.stdout.contains("gresgen_devices_busy{type=\"3g.20gb\"} 1\n"),
            "{release}: {}",
            answer.stdout
        );
        let job = job.to_string();
        let answer = node.gresgen(&["env", "--job", &job]).must_be(1);
        let down = format!("error: job {job}: which devices it has is not known: slurmctld unreachable: ");
        assert!(answer.stderr.starts_with(&down) && answer.stdout.is_empty(), "{release}: {}", answer.stderr);
        let answer = node.gresgen(&["slices"]).must_be(1).must_say(&["error: slurmctld unreachable: "]);
        assert_eq!(answer.stdout, "", "{release}");
        node.lab.run(&["systemctl", "start", "slurmctld"]).unwrap();
        // No room for the file: the old one stays, and one message says so.
        let full = "mkdir -p /srv/full && mount -t tmpfs -o size=4k lab /srv/full && echo old >/srv/full/gresgen.prom";
        node.lab.run(&["sh", "-c", full]).unwrap();
        let answer = node.gresgen(&["metrics", "--output", "/srv/full/gresgen.prom"]).must_be(1);
        assert_eq!(answer.stderr.matches("error: /srv/full/gresgen.prom").count(), 1, "{}", answer.stderr);
        assert_eq!(node.lab.read_file("/srv/full/gresgen.prom").unwrap(), "old\n");
    }
}
