//! What keeps Slurm from giving away what goes, and that it is taken back on every way out.

use std::thread::{scope, sleep};
use std::time::Duration;

use lab::{JobId, Release, User};

use crate::node::{Answer, Node};

/// `gresgen` with what each destroyed compute instance takes, in milliseconds, so that others come in between.
fn slowly(node: &Node, milliseconds: u32, arguments: &[&str]) -> Answer {
    let latency = format!("NVML_SIM_LATENCY=nvmlComputeInstanceDestroy={milliseconds}");
    let output = node.lab.command(&[&["env", &latency, "gresgen"], arguments].concat()).output().unwrap();
    Answer { code: output.code, stdout: output.stdout, stderr: output.stderr }
}

fn view(node: &Node) -> String {
    node.lab.run(&["scontrol", "-o", "show", "node", "n1"]).unwrap().stdout
}

/// What stands on the node, of drains and reservations of gresgen's.
fn fence(node: &Node) -> &'static str {
    let reservation = ["scontrol", "show", "reservation", "gresgen-n1"];
    let reserved =
        node.lab.command(&reservation).output().unwrap().stdout.contains("ReservationName=gresgen-n1");
    // The reason of a drain that was taken back stays until slurmd has registered again (24.11, `_require_node_reg`).
    let view = view(node);
    let states = view.split_whitespace().find_map(|word| word.strip_prefix("State=")).unwrap();
    let drained = states.split('+').any(|state| state == "DRAIN") && view.contains("Reason=gresgen: ");
    match (reserved, drained) {
        (false, false) => "nothing",
        (true, false) => "a reservation",
        (false, true) => "a drain",
        (true, true) => "both",
    }
}

/// Waits until it is so.
fn wait_fence(node: &Node, what: &str) {
    node.lab.wait("the fence", || Ok((fence(node) == what).then_some(()))).unwrap();
}

fn state(node: &Node, job: JobId) -> String {
    let job = job.to_string();
    node.lab.run(&["squeue", "-h", "-j", &job, "-o", "%T"]).unwrap().stdout.trim().to_owned()
}

/// Two jobs come while the slices that fit them go: they wait, and get slices that are there.
#[test]
fn no_job_is_placed_on_what_goes() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let submit = |gres: &str| {
            node.lab.sbatch(User::Alice, &["-w", "n1", &format!("--gres=gpu:{gres}:1")], "lab-probe").unwrap()
        };
        // Beside a job that stays.
        let stays = node.waiting("1g.5gb");
        let (answer, jobs) = scope(|scope| {
            let apply = scope.spawn(|| slowly(&node, 2000, &["--layout", "elsewhere", "apply"]));
            wait_fence(&node, "a reservation");
            let jobs = [submit("3g.20gb"), submit("3g.20gb")];
            sleep(Duration::from_millis(1500));
            assert!(jobs.iter().all(|job| state(&node, *job) == "PENDING"), "{release}");
            (apply.join().unwrap().must_be(6), jobs)
        });
        // Slurm's indexes still mean what is gone.
        assert!(jobs.iter().all(|job| state(&node, *job) == "PENDING"), "{release}");
        assert_eq!(fence(&node), "a reservation", "{release}");
        let last = *answer.left().last().unwrap();
        assert_eq!(last, "scontrol delete ReservationName=gresgen-n1", "{release}");
        // It is said again until it is done.
        let again = node.gresgen(&["apply"]).must_be(6);
        assert_eq!(again.left(), answer.left(), "{release}");
        node.carry_out(&answer);
        for job in jobs {
            let job = node.lab.wait_job(job).unwrap();
            assert_eq!(job.state, "COMPLETED", "{release}: {}", job.output);
        }
        node.go();
        let reports = node.reports(stays);
        assert_eq!(reports[0], reports[1], "{release}");
        node.gresgen(&["apply"]).must_be(0);
        assert_eq!(fence(&node), "nothing", "{release}");
    }
}

/// The look before the fence is not the last one.
#[test]
fn a_job_that_was_faster_keeps_its_slice() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let before = node.picture();
        // scontrol lets a job in just before it drains.
        let script = "#!/bin/sh\ncase \"$*\" in *State=DRAIN*) [ -e /tmp/first ] || { touch /tmp/first; \
                      sbatch --parsable -w n1 -o /dev/null --gres=gpu:3g.20gb:2 --wrap 'sleep 600' >/tmp/job; sleep 3; } ;; \
                      esac\nexec /usr/bin/scontrol \"$@\"\n";
        node.lab.write_file("/usr/local/bin/scontrol", script).unwrap();
        node.lab.run(&["chmod", "755", "/usr/local/bin/scontrol"]).unwrap();
        let answer = node.gresgen(&["--layout", "elsewhere", "apply"]).must_be(4);
        let job = node.lab.read_file("/tmp/job").unwrap();
        answer.must_say(&[&format!("job {}", job.trim())]);
        assert_eq!(node.picture(), before, "{release}");
        assert!(!view(&node).contains("DRAIN"), "{release}: {}", view(&node));
        node.lab.run(&["scancel", job.trim()]).unwrap();
    }
}

/// A killed apply leaves the node out of scheduling, half cut as it is; the next one finishes and takes the drain back.
#[test]
fn after_a_kill_the_next_apply_takes_the_fence_back() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let apply = "NVML_SIM_FAULTS=kill@3 gresgen --layout elsewhere apply";
        let killed = node.lab.command(&["sh", "-c", apply]).output().unwrap();
        assert_eq!(killed.code, 137, "{release}: {}{}", killed.stdout, killed.stderr);
        assert!(view(&node).contains("IDLE+DRAIN"), "{release}: {}", view(&node));
        assert!(view(&node).contains("Reason=gresgen: layout elsewhere"), "{release}: {}", view(&node));
        // Without a word of the layout: what was cut off is finished.
        node.gresgen(&["apply", "--slurm=apply"]).must_be(0);
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE", "{release}");
        assert_eq!(node.job("4g.20gb").kind, "4g.20gb", "{release}");

        // And back, where it is undone.
        let apply = "NVML_SIM_FAULTS=kill@3 gresgen --layout day apply";
        node.lab.command(&["sh", "-c", apply]).output().unwrap();
        node.gresgen(&["apply", "--undo", "--slurm=apply"]).must_be(0);
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE", "{release}");
        node.gresgen(&["apply"]).must_be(0);
        assert_eq!(node.job("4g.20gb").kind, "4g.20gb", "{release}");
    }
}

/// Not even for a moment is the next step of a job that stays held up.
#[test]
fn a_step_that_fails_leaves_the_node_in_service() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let before = node.picture();
        let job = node.waiting("1g.5gb");
        let apply = "NVML_SIM_FAULTS=nvmlDeviceCreateGpuInstanceWithPlacement@1=UNKNOWN gresgen --layout elsewhere apply";
        let failed =
            node.lab.command(&["sh", "-c", &format!("{apply}; touch /var/lab/out/go")]).output().unwrap();
        assert!(failed.stderr.contains("the previous layout is back"), "{}{}", failed.stdout, failed.stderr);
        assert_eq!(node.picture(), before);
        assert_eq!(fence(&node), "nothing", "{release}");
        node.reports(job);
        assert_eq!(node.job("3g.20gb").kind, "3g.20gb");
    }
}

/// A job in such a reservation would run through one of ours.
#[test]
fn where_somebody_maintains_the_node_it_is_drained() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let job = node.waiting("1g.5gb");
        let create = "scontrol create reservation ReservationName=other StartTime=now Duration=60 Nodes=n1 Users=alice \
                      Flags=MAINT,IGNORE_JOBS";
        node.lab.run(&["sh", "-c", create]).unwrap();
        scope(|scope| {
            let apply = scope.spawn(|| slowly(&node, 2000, &["--layout", "elsewhere", "apply"]));
            wait_fence(&node, "a drain");
            let words = ["-w", "n1", "--reservation=other", "--gres=gpu:3g.20gb:1"];
            let other = node.lab.sbatch(User::Alice, &words, "lab-probe").unwrap();
            sleep(Duration::from_millis(1500));
            let answer = apply.join().unwrap().must_be(6);
            assert_eq!(state(&node, other), "PENDING", "{release}");
            assert!(
                answer.left().last().unwrap().ends_with("State=RESUME"),
                "{release}: {:?}",
                answer.left()
            );
        });
        node.go();
        node.reports(job);
    }
}

/// Ctrl-C while jobs are waited for.
#[test]
fn an_interrupted_wait_ends_at_once_and_opens_the_node() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let before = node.picture();
        let job = node.waiting("1g.5gb");
        let answer = scope(|scope| {
            let apply = scope.spawn(|| {
                let apply = "gresgen --layout more apply --drain=1h & echo $! >/tmp/pid; wait $!";
                node.lab.command(&["sh", "-c", apply]).output().unwrap()
            });
            wait_fence(&node, "a drain");
            node.lab.run(&["sh", "-c", "kill -INT $(cat /tmp/pid)"]).unwrap();
            apply.join().unwrap()
        });
        assert_eq!(answer.code, 130, "{release}: {}{}", answer.stdout, answer.stderr);
        assert_eq!(fence(&node), "nothing", "{release}: {}", view(&node));
        assert_eq!(node.picture(), before, "{release}");
        node.lab.wait_nodes().unwrap();
        node.go();
        node.reports(job);
    }
}

/// Whose drain it is, is never taken for ours; nor is a node brought up that is down for another reason.
#[test]
fn what_somebody_else_did_to_the_node_stays() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let set = |state: &str, reason: &str| {
            let (state, reason) = (format!("State={state}"), format!("Reason={reason}"));
            node.lab.run(&["scontrol", "update", "NodeName=n1", &state, &reason]).unwrap();
        };
        set("DRAIN", "a broken fan");
        let answer = node.gresgen(&["--layout", "elsewhere", "apply", "--slurm=apply"]).must_be(0);
        assert!(answer.stdout.contains("was drained before (a broken fan"), "{}", answer.stdout);
        assert!(view(&node).contains("Reason=a broken fan"), "{release}: {}", view(&node));
        node.lab.run(&["scontrol", "update", "NodeName=n1", "State=UNDRAIN"]).unwrap();
        node.lab.wait_nodes().unwrap();

        // Somebody drains it while it changes.
        scope(|scope| {
            let apply = scope.spawn(|| slowly(&node, 1500, &["--layout", "day", "apply", "--slurm=apply"]));
            wait_fence(&node, "a drain");
            set("DRAIN", "a broken disk");
            apply.join().unwrap().must_be(0);
        });
        assert!(view(&node).contains("Reason=a broken disk"), "{release}: {}", view(&node));
        node.lab.run(&["scontrol", "update", "NodeName=n1", "State=UNDRAIN"]).unwrap();
        node.lab.wait_nodes().unwrap();

        // Somebody resumes it while it changes: the next step drains it again.
        scope(|scope| {
            let apply = scope.spawn(|| slowly(&node, 4000, &["--layout", "without-1g", "apply"]));
            wait_fence(&node, "a drain");
            node.lab.run(&["scontrol", "update", "NodeName=n1", "State=UNDRAIN"]).unwrap();
            apply.join().unwrap().must_be(6);
        });
        assert!(view(&node).contains("Reason=gresgen: "), "{release}: {}", view(&node));
    }
}

/// The node is new to Slurm, which runs already: 6 until Slurm knows it, with the lines that files lack.
#[test]
fn what_is_left_comes_from_slurm_itself() {
    for release in Release::selected() {
        let Some(node) = Node::fresh(release) else { return };
        let script = "sed -i 's,^include .*,NodeName=n1 NodeHostname=n1 NodeAddr=10.0.0.1 Port=6818 CPUs=32 RealMemory=4000,' \
                      /etc/slurm/slurm.conf; echo GresTypes=gpu >>/etc/slurm/slurm.conf; mv /etc/slurm/plugstack.conf /tmp/";
        node.lab.run(&["sh", "-ec", script]).unwrap();
        node.lab.start_slurm().unwrap();
        let first = node.gresgen(&["apply"]).must_be(6);
        for _ in 0..2 {
            assert_eq!(node.gresgen(&["apply"]).must_be(6).left(), first.left(), "{release}");
        }
        let left = first.left().join("\n");
        for due in [
            ": in the place of this line: include /etc/slurm/gresgen-node.conf",
            "plugstack.conf: add a line: include /etc/slurm/plugstack.conf.d/*",
            "scontrol update NodeName=n1 State=RESUME",
        ] {
            assert!(left.contains(due), "{release}: {due}: {left}");
        }
        node.lab.run(&["mv", "/tmp/plugstack.conf", "/etc/slurm/"]).unwrap();
        let script = "sed -i 's,^NodeName=n1 .*,include /etc/slurm/gresgen-node.conf,; /^GresTypes/d' /etc/slurm/slurm.conf";
        node.lab.run(&["sh", "-ec", script]).unwrap();
        let second = node.gresgen(&["apply"]).must_be(6);
        assert!(!second.left().join("\n").contains("include"), "{release}: {:?}", second.left());
        node.carry_out(&second);
        node.gresgen(&["apply"]).must_be(0);

        // Other attributes of the node line.
        let config = node.lab.read_file("/etc/gresgen/config.yaml").unwrap();
        node.lab
            .write_file("/etc/gresgen/config.yaml", config.replace("CPUs=32", "CPUs=32 Weight=5"))
            .unwrap();
        node.gresgen(&["apply"]).must_be(6);
        let left = node.gresgen(&["apply"]).must_be(6);
        node.carry_out(&left);
        node.gresgen(&["apply"]).must_be(0);
        assert!(view(&node).contains(" Weight=5"), "{release}: {}", view(&node));
    }
}
