//! Jobs that slurmctld holds because what they name was closed or cut run when it is there again, and nobody releases them.

use lab::{JobId, Release, User};

use crate::arbiter::SETTINGS;
use crate::node::Node;

impl Node {
    fn reason_of(&self, job: JobId) -> String {
        self.lab.run(&["squeue", "-h", "-o", "%r", "-j", &job.to_string()]).unwrap().stdout.trim().to_owned()
    }

    fn cancels(&self, jobs: &[JobId]) {
        jobs.iter().for_each(|job| drop(self.lab.run(&["scancel", &job.to_string()]).unwrap()));
        self.waits_until("them to be gone", || jobs.iter().all(|job| self.state_of(*job).is_empty()));
    }
}

#[test]
fn what_slurm_holds_for_what_was_cut_runs_when_it_is_there_again() {
    for release in Release::selected() {
        let Some(node) = Node::for_arbiter(release, SETTINGS) else { return };
        let submit = |more: &[&str]| node.submit(&[&["--gres=gpu:3g.20gb:1"], more].concat());
        let holders = [submit(&[]), submit(&[])];
        holders.iter().for_each(|job| node.runs(*job));
        // All that there is of both GPUs, before those who name the node.
        let large = node.submit(&["--gres=gpu:2g.10gb:6"]);
        // Of one with a comment of an operator the arbiter changes nothing but what it has to.
        let operators = || {
            let job = submit(&["-w", "n1"]);
            let of = format!("JobId={job}");
            node.lab.run(&["scontrol", "update", &of, "AdminComment=see ticket 7"]).unwrap();
            job
        };
        let (commented, users) = (operators(), [operators(), submit(&["-w", "n1", "--hold"])]);
        let named = submit(&["-w", "n1"]);
        let array = submit(&["-w", "n1", "--array=0-1"]);
        let whole = submit(&["-w", "n1", "--exclusive"]);

        let arbiter = node.arbiter("");
        let times_held = |job: JobId| {
            let log = node.lab.read_file("/var/log/slurm/slurmctld.log").unwrap();
            let names = [format!("JobId={job} "), format!("JobId={job}_")];
            let lines = log.lines().filter(|line| line.contains("non-runnable: "));
            lines.filter(|line| names.iter().any(|name| line.contains(name))).count()
        };
        let is_held = |job: JobId, times: usize| {
            node.waits_until(&format!("job {job} to be held"), || {
                // slurmctld holds one for a node each time it looks, and looks when a job ends.
                times_held(job) >= times || node.lab.run(&["srun", "-w", "n2", "true"]).is_err()
            });
        };
        [commented, users[0], named, array, whole].into_iter().for_each(|job| is_held(job, 1));
        // Half a minute after it began slurmctld itself looks again at all that it holds so, once (`node_features_updated` in
        // `job_time_limit`, src/slurmctld/job_mgr.c).
        [commented, users[0]].into_iter().for_each(|job| is_held(job, 2));
        assert_eq!([commented, users[0]].map(|job| node.reason_of(job)), ["BadConstraints"; 2], "{release}");
        let demand = node.gresgen(&["demand"]).must_be(0).stdout;
        assert!(demand.matches("held by Slurm: ").count() >= 2, "{release}: {demand}");
        node.lab.command(&["scontrol", "hold", &users[0].to_string()]).user(User::Alice).output().unwrap();
        node.cancels(&holders);
        node.runs(large);
        assert_eq!(node.reason_of(commented), "BadConstraints", "{release}: {}", node.log());

        // What has all of it goes, and it is cut for those who name the node. One that wants the whole of it waits for them.
        node.cancels(&[large]);
        node.runs(named);
        node.waits_until("the array to run", || node.state_of(array) == "RUNNING\nRUNNING");
        node.runs(commented);
        node.cancels(&[named, array, commented]);
        node.runs(whole);
        for job in users {
            assert!(node.reason_of(job).starts_with("JobHeld"), "{release}: {}", node.log());
        }
        node.end(&arbiter, "TERM");
        assert!(!node.log().contains("panicked"), "{release}: {}", node.log());
    }
}
