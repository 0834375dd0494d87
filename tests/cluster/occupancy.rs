//! Who `status` says holds what, beside what each job says it was given.

use std::collections::BTreeMap;

use lab::{Release, User};

use crate::node::Node;

/// Says which slice it has, and stays.
const SAY: &str = "cd /var/lab/out && echo \"$CUDA_VISIBLE_DEVICES\" >.$SLURM_JOB_ID && mv .$SLURM_JOB_ID has-$SLURM_JOB_ID; exec sleep 600";

/// The same of the second part of a heterogeneous job, whose first is on another node.
const SAY_SECOND: &str = "srun --het-group=1 sh -c \
    'id='$SLURM_JOB_ID_HET_GROUP_1'; cd /var/lab/out && echo \"$CUDA_VISIBLE_DEVICES\" >.$id && mv .$id has-$id; exec sleep 600'";

impl Node {
    /// Slices with the jobs that say they have them, when there are `count`.
    fn said(&self, count: usize) -> BTreeMap<String, String> {
        self.lab
            .wait("the jobs to say what they have", || {
                let script = "cd /var/lab/out; for f in has-*; do echo ${f#has-} $(cat $f); done";
                let text = self.lab.run(&["sh", "-c", script])?.stdout;
                let has = |line: &str| {
                    let (id, uuid) = line.split_once(' ').unwrap_or((line, ""));
                    (uuid.to_owned(), id.to_owned())
                };
                let said: BTreeMap<_, _> = text.lines().map(has).collect();
                Ok((said.len() == count).then_some(said))
            })
            .unwrap()
    }

    /// Slices with their users by `status`.
    fn shown(&self) -> BTreeMap<String, String> {
        let text = self.gresgen(&["status", "-v"]).must_be(0).stdout;
        let row = |line: &str| {
            let uuid = line.split_whitespace().find(|word| word.starts_with("MIG-"))?;
            let users = line.split("Slurm job ").skip(1).map(|rest| rest.trim_end_matches(", ").to_owned());
            let users: Vec<String> = users.collect();
            (!users.is_empty()).then(|| (uuid.to_owned(), users.join(", ")))
        };
        text.lines().filter_map(row).collect()
    }

    /// Checks that each slice has the one job that says so, and that user.
    fn agrees(&self, said: &BTreeMap<String, String>, why: &str) {
        let said = said.iter().map(|(uuid, id)| (uuid.clone(), format!("{id} (user alice)"))).collect();
        assert_eq!(self.shown(), said, "{why}");
    }
}

#[test]
fn every_job_is_shown_on_its_own_slice() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let submit = |arguments: &[&str], script: &str| {
            node.lab.sbatch(User::Alice, &[&["-wn1"], arguments].concat(), script).unwrap()
        };
        let array = submit(&["--array=0-1", "--gres=gpu:1g.5gb:1"], SAY);
        node.agrees(&node.said(2), "an array");

        let parts = ["-wn2", ":", "-wn1", "--gres=gpu:3g.20gb:1"];
        node.lab.sbatch(User::Alice, &parts, SAY_SECOND).unwrap();
        let mut said = node.said(3);
        node.agrees(&said, "a heterogeneous job");

        // Each task keeps its slice while it is stopped, and when the others have ended.
        node.lab.run(&["scontrol", "suspend", &format!("{array}_1")]).unwrap();
        node.lab.run(&["scancel", &format!("{array}_0")]).unwrap();
        node.lab
            .wait("the task to end", || {
                Ok(node
                    .lab
                    .run(&["squeue", "-h", "-r", "-o", "%A"])?
                    .stdout
                    .lines()
                    .count()
                    .eq(&3)
                    .then_some(()))
            })
            .unwrap();
        said.retain(|_, id| *id != node_task(&node, &array.to_string()));
        node.agrees(&said, "one task of an array, and a suspended job");

        // No text of a job hides one, adds one, or gives it another name.
        let texts = [
            "x Nodes=n1 CPU_IDs=0 Mem=0 GRES=none MinCPUsNode=1 y",
            "x JOB_GRES=gpu:1 Nodes=n1 CPU_IDs=0 Mem=0 GRES=gpu:9(IDX:0-99999999999) MinCPUsNode=1 y",
            "x\nJobId=1 UserId=root(0) JOB_GRES=gpu:5 Nodes=n1 CPU_IDs=0 Mem=0 GRES=gpu:5(IDX:0-4) MinCPUsNode=1",
        ];
        for (text, gres) in texts.iter().flat_map(|text| [(text, "none"), (text, "gpu:3g.20gb:1")]) {
            let arguments =
                [format!("--job-name={text}"), format!("--comment={text}"), format!("--gres={gres}")];
            let job = submit(&arguments.each_ref().map(String::as_str), SAY).to_string();
            let mut now = node.said(4);
            let holds = |uuid: &String| uuid.starts_with("MIG-");
            now.retain(|uuid, id| holds(uuid) && (*id == job || said.contains_key(uuid)));
            assert_eq!(now.len(), said.len() + usize::from(gres != "none"), "{now:?}");
            node.agrees(&now, text);
            node.lab.run(&["scancel", &job]).unwrap();
            node.lab
                .wait("the job to end", || {
                    let state = ["squeue", "-h", "-t", "all", "-o", "%t", "-j", &job];
                    Ok((node.lab.run(&state)?.stdout.trim() == "CA").then_some(()))
                })
                .unwrap();
            node.lab.run(&["rm", &format!("/var/lab/out/has-{job}")]).unwrap();
        }
    }
}

/// The number of the task of an array that was cancelled.
fn node_task(node: &Node, array: &str) -> String {
    let all = ["squeue", "-h", "-r", "-t", "CA", "-j", array, "-o", "%A"];
    node.lab.run(&all).unwrap().stdout.trim().to_owned()
}
