//! Containers in jobs: each sees the device of its job, and no other.

use lab::{Probe, Release};

use crate::node::Node;

const SETTINGS: &str = "  plugin:\n    arguments: {set: \"cuda,nvidia\"}\n";

/// A CDI specification for every device of the map, of the shape that `nvidia-ctk cdi generate
/// --device-name-strategy=uuid` has (nvidia-container-toolkit, pkg/nvcdi): kind nvidia.com/gpu, a device by UUID, its
/// nodes. What it has besides, libraries and hooks, is the driver's, which a simulated node has not.
const SPECIFICATION: &str = r#"
mkdir -p /var/run/cdi
awk 'BEGIN { printf "{\"cdiVersion\":\"0.3.0\",\"kind\":\"nvidia.com/gpu\",\"devices\":[" }
/^[0-9]+ / {
    printf "%s{\"name\":\"%s\",\"containerEdits\":{\"deviceNodes\":[", sep, $3; sep = ","
    n = split($7, files, ",")
    for (i = 1; i <= n; i++) { split(files[i], path, "="); printf "%s{\"path\":\"%s\"}", (i > 1 ? "," : ""), path[1] }
    printf "]}}"
}
END { print "]}" }' /run/gresgen/devices >/var/run/cdi/nvidia.json
"#;

/// Debian's podman in a lab: no image, no network, no cgroup of its own, so that the container stays in its step's. crun
/// does not start where cgroup v1 and v2 are both mounted, whether it makes a cgroup or not.
const PODMAN: &str = "\
#!/bin/sh
exec unshare -m sh -c 'while umount /sys/fs/cgroup/unified 2>/dev/null; do :; done; exec podman \"$@\"' podman \
    --root /var/lab/store --runroot /run/podman --storage-driver vfs --cgroup-manager cgroupfs --events-backend none \
    run --rm --runtime crun --cgroups=disabled --network none --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 \
    --security-opt seccomp=unconfined --env SLURM_JOB_ID --env SLURMD_NODENAME --env CUDA_VISIBLE_DEVICES \
    --volume /var/lab/bin:/probe:ro \"$@\"
";

fn start() -> Option<Node> {
    // Debian's own podman, hence Debian's own Slurm: what it is made of belongs to the host's root filesystem.
    let node = Node::with(Release::Bookworm, SETTINGS)?;
    node.gresgen(&["apply"]).must_be(6);
    node.lab.write_file("/usr/local/bin/run-container", PODMAN).unwrap();
    let rootfs = "chmod 755 /usr/local/bin/run-container; mkdir -p /var/lab/empty/probe /var/lab/empty/proc /var/lab/empty/dev \
                  /var/lab/empty/sys /var/lab/empty/etc /var/lab/empty/run /var/lab/empty/tmp /var/lab/store";
    node.lab.run(&["sh", "-c", rootfs]).unwrap();
    node.lab.run(&["sh", "-c", SPECIFICATION]).unwrap();
    node.lab.start_slurm().unwrap();
    Some(node)
}

#[test]
fn podman_with_cdi_opens_the_device_of_its_job_and_no_other() {
    let Some(node) = start() else { return };
    let run = |gres: &str, devices: &str| {
        let script = format!("lab-probe; run-container {devices} --rootfs /var/lab/empty /probe/lab-probe");
        let output = node.lab.command(&["srun", "-wn1", gres, "bash", "-c", &script]).output().unwrap();
        let probes = Probe::parse_all(&output.stdout);
        assert_eq!(probes.len(), 2, "{output:?}");
        (probes[0].clone(), probes[1].clone())
    };
    let all = node.devices();
    let own = |probe: &Probe| -> Vec<String> {
        all.values()
            .filter(|device| probe.open.contains(&device.own))
            .map(|device| device.uuid.clone())
            .collect()
    };
    for gres in ["--gres=gpu:1g.5gb:1", "--gres=gpu:3g.20gb:1"] {
        let (outside, inside) = run(gres, "--device nvidia.com/gpu=$CUDA_VISIBLE_DEVICES");
        assert_eq!(own(&outside).len(), 1);
        assert_eq!(own(&inside), own(&outside), "{inside:?}");
        assert_eq!(inside.cuda, outside.cuda);
        assert!(inside.denied.is_empty(), "no other node is in the container: {inside:?}");
    }
    // A container that brings every node is held by the job's cgroup all the same.
    let (outside, inside) = run("--gres=gpu:1g.5gb:1", "--volume /dev:/dev");
    assert_eq!(own(&inside), own(&outside), "{inside:?}");
    assert_eq!(inside.denied.len(), outside.denied.len(), "{inside:?}");
    // Without a device there is none.
    let (_, inside) = run("--gres=gpu:1g.5gb:1", "");
    assert!(inside.open.is_empty(), "{inside:?}");
    // A name of another layout is refused by podman, not guessed.
    let script = "run-container --device nvidia.com/gpu=MIG-00000000-0000-0000-0000-000000000000 --rootfs /var/lab/empty /probe/lab-probe";
    let output =
        node.lab.command(&["srun", "-wn1", "--gres=gpu:1g.5gb:1", "bash", "-c", script]).output().unwrap();
    assert!(!output.success() && output.stderr.contains("MIG-0000"), "{output:?}");
}

/// What enroot and the NVIDIA container runtime read (enroot, conf/hooks/98-nvidia.sh): a container gets the devices that
/// this variable names.
#[test]
fn a_runtime_that_reads_nvidia_visible_devices_is_told_the_same() {
    let Some(node) = start() else { return };
    let probes = node.lab.srun(&["-wn1", "--gres=gpu:1g.5gb:2", "lab-probe"]).unwrap().probes();
    assert!(probes[0].cuda.is_some() && probes[0].nvidia == probes[0].cuda, "{probes:?}");
}
