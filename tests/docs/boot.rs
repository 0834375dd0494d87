//! A node after a reboot, as docs/install.md says of it.

use crate::node::{DocNode, RESUME, Start};

/// A node whose slices are cut and known to Slurm.
fn node() -> Option<DocNode> {
    let node = DocNode::new(Start::Installed)?;
    node.ends(6, "gresgen --quiet apply");
    node.ends(0, "systemctl stop slurmd && systemctl restart slurmctld && systemctl start slurmd");
    node.ends(0, RESUME);
    node.ends(0, "srun --gres=gpu:1g.5gb:1 true");
    Some(node)
}

#[test]
fn the_boot_unit_brings_the_layout_back() {
    let Some(node) = node() else { return };
    node.ends(0, r"sed -i 's/^slurm:/&\n  stable-links: true/' /etc/gresgen/config.yaml");
    node.ends(0, "gresgen --quiet apply");
    let before = node.ends(0, "gresgen status");
    node.ends(0, "systemctl stop slurmd");
    node.ends(0, "/root/build/nvml-sim-smi --sim-reboot && rm -r /dev/gresgen");
    assert!(!node.ends(0, "gresgen status").contains("MIG-"));
    node.ends(0, "systemctl start gresgen-boot");
    assert_eq!(node.ends(0, "gresgen status"), before);
    node.ends(0, "systemctl start slurmd");
    // slurmd ends when a file of its gres.conf is missing, and that names links now.
    assert!(node.ends(0, "cat /etc/slurm/gres.conf").contains("/dev/gresgen/ci6"));
    node.ends(0, "srun --gres=gpu:3g.20gb:1 true");
}

#[test]
fn a_boot_that_fails_lets_slurmd_start_and_the_node_drain() {
    let Some(node) = node() else { return };
    node.ends(0, "systemctl stop slurmd");
    node.ends(0, "/root/build/nvml-sim-smi --sim-reboot");
    node.ends(1, "NVML_SIM_FAULTS=nvmlInit_v2@*=UNKNOWN gresgen apply --boot --wait 1s");
    node.ends(0, "systemctl start slurmd");
    let drained = node.ends(0, "scontrol --oneliner show node n1");
    assert!(drained.contains("DRAIN") && drained.contains("Reason=gresgen: "), "{drained}");
}
