//! First apply, registration, and another layout on an idle node.

use lab::{Release, User};

use crate::node::Node;

/// The records of `slurmd -G`, by type.
fn slurmd_order(node: &Node) -> Vec<String> {
    let output = node.lab.run(&["slurmd", "-N", "n1", "-G"]).unwrap();
    let text = output.stdout + &output.stderr;
    let types = text.lines().filter_map(|line| line.split_whitespace().find_map(|w| w.strip_prefix("Type=")));
    types.map(str::to_owned).collect()
}

#[test]
fn a_node_is_brought_into_service() {
    for release in Release::selected() {
        let Some(node) = Node::fresh(release) else { return };
        let first = node.gresgen(&["apply"]).must_be(6);
        assert!(first.left().iter().any(|line| line.contains("slurmctld") || line.contains("reconfigure")));
        node.lab.start_slurm().unwrap();
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE");

        let kinds: Vec<String> = node.devices().into_values().map(|d| d.kind).collect();
        assert_eq!(kinds, ["1g.5gb", "1g.5gb", "2g.10gb", "3g.20gb", "3g.20gb"]);
        assert_eq!(slurmd_order(&node), kinds, "{release}");

        let check = node.gresgen(&["check"]).must_be(0);
        assert!(!check.stdout.contains("FAIL"), "{}", check.stdout);
        let second = node.gresgen(&["apply"]).must_be(0);
        assert_eq!(second.stdout, "nothing to change\n", "{release}");
        for kind in ["1g.5gb", "2g.10gb", "3g.20gb"] {
            assert_eq!(node.job(kind).kind, kind);
        }

        // A GRES of a node in service is Slurm's to give.
        node.gresgen(&["run", "1g.5gb", "true"]).must_be(4).must_say(&["srun --gres"]);
        let step =
            ["-w", "n1", "--gres=gpu:2g.10gb:1", "sh", "-c", "gresgen env; echo $CUDA_VISIBLE_DEVICES"];
        let output = node.lab.srun(&step).unwrap().stdout;
        let uuid = output.lines().last().unwrap();
        assert_eq!(uuid, node.devices()[&2].uuid);
        let wanted =
            format!("export CUDA_VISIBLE_DEVICES={uuid}\nexport NVIDIA_VISIBLE_DEVICES={uuid}\n{uuid}\n");
        assert_eq!(output, wanted, "{release}");
    }
}

#[test]
fn an_idle_node_takes_another_layout() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        assert_eq!(node.job("1g.5gb").uuid, node.devices()[&0].uuid);
        let script = "until [ -e /var/lab/out/go ]; do sleep 0.05; done; echo undisturbed";
        let other = node.lab.sbatch(User::Alice, &["-w", "n2"], script).unwrap();

        let answer = node.gresgen(&["--layout", "without-1g", "apply"]).must_be(6);
        let left = answer.left().join("\n");
        assert_eq!(left.contains("scontrol reconfigure"), release.reconfigure_restarts_slurmd(), "{left}");
        assert_eq!(
            left.contains("systemctl restart slurmctld"),
            !release.reconfigure_restarts_slurmd(),
            "{left}"
        );
        // What is left is said until it is done.
        let again = node.gresgen(&["--layout", "without-1g", "apply"]).must_be(6);
        assert_eq!(again.left(), answer.left());
        node.carry_out(&answer);
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE");
        node.gresgen(&["--layout", "without-1g", "apply"]).must_be(0);
        assert_eq!(node.job("2g.10gb").kind, "2g.10gb");
        assert_eq!(node.job("3g.20gb").kind, "3g.20gb");

        // And on, with the daemons told by gresgen itself.
        let more = node.gresgen(&["--layout", "more", "apply", "--slurm=apply"]).must_be(0);
        assert_eq!(more.left(), [""; 0]);
        node.settled();
        assert_eq!(node.devices().len(), 6);
        for kind in ["1g.5gb", "2g.10gb", "3g.20gb"] {
            assert_eq!(node.job(kind).kind, kind, "{release}");
        }
        node.go();
        assert_eq!(node.lab.wait_job(other).unwrap().output, "undisturbed\n", "{release}");
    }
}

#[test]
fn types_that_slurm_cannot_tell_apart_are_found_across_the_cluster() {
    let Some(node) = Node::fresh(Release::Bookworm) else { return };
    let other = "NodeName=n3 NodeAddr=10.0.0.1 Port=7000 State=DOWN Gres=gpu:1g.23gb:1";
    node.lab.run(&["sh", "-c", &format!("echo {other} >>/etc/slurm/slurm.conf")]).unwrap();
    node.gresgen(&["apply"]).must_be(6);
    node.lab.start_slurm().unwrap();
    node.gresgen(&["check"]).must_be(0);
    node.gresgen(&["--layout", "elsewhere", "apply", "--slurm=apply"]).must_be(0);
    let check = node.gresgen(&["--layout", "elsewhere", "check"]).must_be(3);
    let clash = check.stdout.lines().find(|line| line.starts_with("FAIL")).unwrap();
    assert!(clash.contains("1g.23gb") && clash.contains("4g.20gb"), "{}", check.stdout);
}
