//! What keeps watch over a node notices that it is broken, and does what docs/install.md says of it.

use crate::node::{DocNode, Start};

/// A node with a prolog, whose slices are cut and known to Slurm.
fn node() -> Option<DocNode> {
    let node = DocNode::new(Start::Installed)?;
    node.ends(0, "echo Prolog=/usr/libexec/gresgen/prolog >> /etc/slurm/slurm.conf");
    node.ends(6, "gresgen --quiet apply");
    node.ends(0, "systemctl stop slurmd && systemctl restart slurmctld && systemctl start slurmd");
    node.ends(0, "srun --gres=gpu:1g.5gb:1 true");
    Some(node)
}

#[test]
fn a_node_whose_devices_are_gone_is_drained_with_the_reason() {
    let Some(node) = node() else { return };
    node.ends(0, "/usr/libexec/gresgen/health-check");
    assert!(!node.ends(0, "scontrol --oneliner show node n1").contains("DRAIN"));

    node.ends(0, "mv /run/gresgen/devices /run/gresgen/aside");
    node.ends(0, "/usr/libexec/gresgen/health-check");
    let drained = node.ends(0, "scontrol --oneliner show node n1");
    assert!(drained.contains("DRAIN") && drained.contains("Reason=gresgen: FAIL device map"), "{drained}");

    // Another run keeps the reason an admin may have put there since.
    node.ends(0, "scontrol update nodename=n1 state=drain reason=mine");
    node.ends(0, "/usr/libexec/gresgen/health-check");
    assert!(node.ends(0, "scontrol --oneliner show node n1").contains("Reason=mine"));
}

#[test]
fn a_prolog_keeps_jobs_off_a_broken_node() {
    let Some(node) = node() else { return };
    node.ends(0, "mv /run/gresgen/devices /run/gresgen/aside");
    node.ends(0, "sbatch --gres=gpu:1g.5gb:1 --output=/tmp/out --wrap 'touch /tmp/ran'");
    // The job waits, and the node says why.
    node.ends(0, "timeout 30 sh -c 'until sinfo -h -R | grep -i prolog; do sleep 0.1; done'");
    node.ends(1, "test -e /tmp/ran");
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
