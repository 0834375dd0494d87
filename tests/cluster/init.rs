//! The first hour: a node that Slurm has with whole GPUs, `init`, `plan`, `apply`, telling Slurm, `check`.

use lab::Release;

use crate::node::Node;

/// What an admin has: a line of two nodes with their whole GPUs, found by NVML, and a plugstack.conf of nobody.
const BEFORE: &str = r#"set -e
rm /etc/gresgen/config.yaml /etc/slurm/plugstack.conf
sed -i 's|^include /etc/slurm/gresgen-node.conf|NodeName=n1 NodeHostname=n1 NodeAddr=10.0.0.1 Port=6818 CPUs=32 RealMemory=4000 Gres=gpu:a100:2|' /etc/slurm/slurm.conf
printf 'AutoDetect=nvml\n' >/etc/slurm/gres.conf
printf 'CgroupPlugin=cgroup/v1\nConstrainCores=yes\n' >/etc/slurm/cgroup.conf
"#;

#[test]
fn a_node_of_whole_gpus_is_cut_without_an_edit_by_hand() {
    for release in Release::selected() {
        let Some(node) = Node::fresh(release) else { return };
        node.lab.run(&["sh", "-c", BEFORE]).unwrap();
        let init = node.gresgen(&["init", "--write", "--layout-of", "balanced"]).must_be(0);
        assert!(init.stderr.contains("wrote /etc/gresgen/config.yaml"), "{release}: {}", init.stderr);
        // What Slurm reads is what it read before.
        let shown = node.lab.run(&["cat", "/etc/slurm/gresgen-node.conf"]).unwrap().stdout;
        assert!(shown.contains("CPUs=32 RealMemory=4000 Gres=gpu:a100:2\n"), "{release}: {shown}");
        node.gresgen(&["plan"]).must_be(0);
        node.gresgen(&["apply"]).must_be(6);
        node.lab.start_slurm().unwrap();
        node.settled();
        let check = node.gresgen(&["check"]).must_be(0);
        assert!(!check.stdout.contains("FAIL"), "{release}: {}", check.stdout);
        assert_eq!(node.job("1g.5gb").kind, "1g.5gb");
        assert_eq!(node.devices().len(), 8, "{release}");
    }
}
