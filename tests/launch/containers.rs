//! Container runtimes in jobs: what a container opens is what its job was given, whatever device nodes it brings. They are
//! Debian's, unpacked and not installed; `make containers` runs them (docs/containers.md).
//!
//! The container is one static program, `lab-probe`, on an empty root.

use std::fmt::Write as _;

use lab::{Lab, Probe, Release, User};

use crate::fetched::debian;
use crate::fixture::{Layout, options};

/// The root of a container, and what programs look for in it.
const IMAGE: &str = "\
mkdir -p /var/lab/image && cd /var/lab/image
mkdir -p bin dev etc home mnt/0 proc run sys tmp usr var/tmp
cp /etc/passwd /etc/group etc && cp /var/lab/bin/lab-probe bin
cp bin/lab-probe bin/sh && cp bin/lab-probe bin/bash # Apptainer looks for the one, a batch script for the other
";

fn start(release: Release, packages: &[&str], layout: &Layout) -> Option<Lab> {
    let options = options(&[layout], "set=cuda,nvidia notices=off").tree(&debian(release.suite(), packages));
    let lab = lab::require(Lab::start(release, options))?;
    lab.run(&["sh", "-c", IMAGE]).unwrap();
    Some(lab)
}

/// What a task of alice's job saw before it ran `container`, and what the container saw.
fn both(lab: &Lab, gres: &str, container: &str) -> (Probe, Probe) {
    let script = format!("lab-probe; {container}");
    let job = lab.command(&["srun", gres, "bash", "-c", &script]).user(User::Alice);
    let output =
        job.env("USER", "alice").env("HOME", "/tmp").env("XDG_RUNTIME_DIR", "/tmp/xdg").output().unwrap();
    let probes = Probe::parse_all(&output.stdout);
    let [outside, inside] = &probes[..] else { panic!("{container}: {output:?}") };
    (outside.clone(), inside.clone())
}

/// The container has the one device of its job.
fn assert_own(layout: &Layout, outside: &Probe, inside: &Probe) {
    let own = layout.opened(outside);
    assert_eq!(own.len(), 1, "{outside:?}");
    assert_eq!(layout.opened(inside), own, "{inside:?}");
}

/// A CDI specification as `nvidia-ctk cdi generate --device-name-strategy=uuid` writes it (nvidia-container-toolkit, pkg/nvcdi).
fn specification(layout: &Layout) -> String {
    let mut devices = Vec::new();
    for gpu in &layout.gpus.gpus {
        let mut nodes = Vec::new();
        for file in &gpu.files {
            nodes.push(format!("{{\"path\":\"{}\"}}", file.display()));
        }
        let mut device = format!("{{\"name\":\"{}\",\"containerEdits\":", gpu.uuid);
        write!(device, "{{\"deviceNodes\":[{}]}}}}", nodes.join(",")).unwrap();
        devices.push(device);
    }
    format!("{{\"cdiVersion\":\"0.3.0\",\"kind\":\"nvidia.com/gpu\",\"devices\":[{}]}}", devices.join(","))
}

/// They bring all of `/dev`: the job's cgroup alone is what holds other devices off.
fn bring_every_node(lab: &Lab, layout: &Layout, container: &str) {
    for gres in ["--gres=gpu:1g.5gb:1", "--gres=gpu:3g.20gb:1", "--gres=gpu:a100:1"] {
        let (outside, inside) = both(lab, gres, container);
        assert_own(layout, &outside, &inside);
        assert_eq!((&inside.open, &inside.denied), (&outside.open, &outside.denied), "{inside:?}");
        assert_eq!((&inside.cuda, &inside.nvidia), (&outside.cuda, &outside.nvidia), "{inside:?}");
    }
}

#[test]
#[ignore = "fetches programs: make containers"]
fn containers_of_charliecloud() {
    let n1 = Layout::n1();
    let packages = ["charliecloud-runtime", "charliecloud-common", "libsquashfuse0", "libfuse3-3"];
    let Some(lab) = start(Release::Bookworm, &packages, &n1) else { return };
    bring_every_node(&lab, &n1, "ch-run --bind /var/lab/bin:/mnt/0 /var/lab/image -- /mnt/0/lab-probe");
}

#[test]
#[ignore = "fetches programs: make containers"]
fn containers_of_apptainer() {
    let n1 = Layout::n1();
    let packages = ["apptainer", "libsqlite3-0", "libseccomp2"];
    let Some(lab) = start(Release::Sid, &packages, &n1) else { return };
    bring_every_node(&lab, &n1, "apptainer exec --userns --no-home --nv /var/lab/image /bin/lab-probe");
}

#[test]
#[ignore = "fetches programs: make containers"]
fn containers_of_podman_without_root() {
    let n1 = Layout::n1();
    // Podman and crun are the host's own, whose Slurm this is.
    let Some(lab) = start(Release::Bookworm, &["uidmap", "libsubid4"], &n1) else { return };
    lab.write_file("/var/run/cdi/nvidia.json", specification(&n1)).unwrap();
    let prepare = "\
echo alice:100000:65536 | tee /etc/subuid >/etc/subgid
chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap
mkdir -m 700 /tmp/xdg && chown -R alice /tmp/xdg /var/lab/image
while umount /sys/fs/cgroup/unified 2>/dev/null; do :; done # crun does not start beside cgroup v1
";
    lab.run(&["sh", "-c", prepare]).unwrap();
    let podman = |devices: &str| {
        format!(
            "podman --root /tmp/store --runroot /tmp/xdg/run --storage-driver vfs --cgroup-manager cgroupfs --events-backend none \
             run --rm --runtime crun --cgroups=disabled --network none --ulimit host --security-opt seccomp=unconfined \
             --env SLURM_JOB_ID --env SLURMD_NODENAME --env CUDA_VISIBLE_DEVICES {devices} --rootfs /var/lab/image /bin/lab-probe"
        )
    };
    for gres in ["--gres=gpu:1g.5gb:1", "--gres=gpu:3g.20gb:1"] {
        let (outside, inside) = both(&lab, gres, &podman("--device nvidia.com/gpu=$CUDA_VISIBLE_DEVICES"));
        assert_own(&n1, &outside, &inside);
        assert_eq!(inside.cuda, outside.cuda);
        assert!(inside.denied.is_empty(), "no other node is in the container: {inside:?}");
    }
    let (_, inside) = both(&lab, "--gres=gpu:1g.5gb:1", &podman(""));
    assert!(inside.open.is_empty(), "{inside:?}");
    // The device of another job: its node is there, and the cgroup of this job denies it.
    let all: String =
        n1.gpus.gpus.iter().map(|gpu| format!("--device nvidia.com/gpu={} ", gpu.uuid)).collect();
    let (outside, inside) = both(&lab, "--gres=gpu:1g.5gb:1", &podman(&all));
    assert_own(&n1, &outside, &inside);
}

/// Docker's daemon with a cgroup of its own below the lab's, made on hierarchies that are mounted whole: runc looks for the
/// path that /proc has of a process.
const DOCKERD: &str = r#"
cat >/tmp/dockerd.sh <<'END'
group=$(awk '$5 == "/sys/fs/cgroup/devices" && $4 != "/" { print $4; exit }' /proc/self/mountinfo)
for top in devices freezer cpuset; do
    while umount "/sys/fs/cgroup/$top" 2>/dev/null; do :; done
    mount -t cgroup -o "$top" cgroup "/sys/fs/cgroup/$top"
done
while umount /sys/fs/cgroup/unified 2>/dev/null; do :; done
exec dockerd --cgroup-parent="$group/docker" --iptables=false --ip6tables=false --bridge=none --storage-driver=vfs \
    --data-root=/run/docker-data --exec-root=/run/docker --group alice --exec-opt native.cgroupdriver=cgroupfs
END
unshare -m sh /tmp/dockerd.sh </dev/null >/tmp/dockerd.log 2>&1 &
for _ in $(seq 100); do docker version >/dev/null 2>&1 && break; sleep 0.2; done
tar -C /var/lab/image -c . | docker import - probe
"#;

/// Why docs/containers.md says that Docker is for sites that trust its users: its daemon starts the container, outside of
/// the job.
#[test]
#[ignore = "fetches programs: make containers"]
fn containers_of_docker_are_not_held_by_the_job() {
    let n1 = Layout::n1();
    let packages = ["docker.io", "containerd", "runc", "tini"];
    let Some(lab) = start(Release::Bookworm, &packages, &n1) else { return };
    lab.run(&["sh", "-c", DOCKERD]).unwrap();
    let docker = |index: Option<usize>| {
        let files = index.map(|index| n1.gpus.gpus[index].files.clone()).unwrap_or_default();
        let devices: String = files.iter().map(|file| format!("--device {} ", file.display())).collect();
        format!(
            "docker run --rm --network none {devices} -e SLURM_JOB_ID -e CUDA_VISIBLE_DEVICES probe /bin/lab-probe"
        )
    };
    let (outside, inside) = both(&lab, "--gres=gpu:1g.5gb:1", &docker(Some(0)));
    assert_own(&n1, &outside, &inside);
    let (_, inside) = both(&lab, "--gres=gpu:1g.5gb:1", &docker(None));
    assert!(inside.open.is_empty(), "{inside:?}");
    // The device of somebody else.
    let (outside, inside) = both(&lab, "--gres=gpu:1g.5gb:1", &docker(Some(4)));
    assert_eq!((n1.opened(&outside), n1.opened(&inside)), (vec![0], vec![4]), "{inside:?}");
    lab.run(&[
        "sh",
        "-c",
        "kill $(cat /var/run/docker.pid); while [ -e /var/run/docker.pid ]; do sleep 0.1; done",
    ])
    .unwrap();
}

/// oci.conf(5) of a runtime, with every node of the host in the container.
fn oci_conf(runtime: &str) -> String {
    let command = |what: &str| format!("{runtime} --root=/tmp/oci {what} %n.%u.%j.%s.%t");
    format!(
        "RunTimeQuery=\"{}\"\nRunTimeKill=\"{}\"\nRunTimeDelete=\"{}\"\nRunTimeRun=\"{}\"\n",
        command("state"),
        command("kill"),
        command("delete --force"),
        command("run -b %b")
    )
}

const BUNDLE: &str = r#"
mkdir -p /var/lab/bundle && cd /var/lab/bundle && cp -a /var/lab/image rootfs
cat >config.json <<'END'
{"ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": false},
 "process": {"terminal": false, "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/lab-probe"], "env": ["PATH=/bin"],
  "noNewPrivileges": true},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
  {"destination": "/dev", "type": "none", "source": "/dev", "options": ["rbind", "rw"]}],
 "linux": {"uidMappings": [{"containerID": 0, "hostID": 2000, "size": 1}], "gidMappings": [{"containerID": 0, "hostID": 2000, "size": 1}],
  "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "user"}]}}
END
chown -R alice: . && while umount /sys/fs/cgroup/unified 2>/dev/null; do :; done
"#;

/// `srun --container` and `sbatch --container`. Slurm 22.05 writes the environment of the container before it forks the
/// task (`setup_container` in src/slurmd/slurmstepd/container.c), so what a plugin sets in the task is not in it; 24.11 and
/// 26.05 have it.
#[test]
#[ignore = "fetches programs: make containers"]
fn containers_of_slurm_itself() {
    for release in Release::selected() {
        // With the libraries that the root filesystem has not.
        let crun: &[&str] = match release {
            Release::Sid => &["crun", "libblake3-0", "libcap2"],
            _ => &["crun", "libyajl2"],
        };
        for packages in [&["runc"], crun] {
            let runtime = packages[0];
            let n1 = Layout::n1();
            let Some(lab) = start(release, packages, &n1) else { return };
            lab.run(&["sh", "-c", BUNDLE]).unwrap();
            lab.write_file("/etc/slurm/oci.conf", oci_conf(runtime)).unwrap();
            lab.restart_slurmd("n1").unwrap();
            lab.wait_nodes().unwrap();
            let judge = |how: &str, gres: &str, said: &str| {
                let probes = Probe::parse_all(said);
                let [inside] = &probes[..] else { panic!("{release} {runtime} {how}: {said}") };
                let own = n1.opened(inside);
                assert!(
                    own.len() == 1 && gres.contains(n1.types[own[0]]),
                    "{release} {runtime} {how}: {inside:?}"
                );
                let named = n1.uuids(&own);
                let wanted = if release == Release::Bookworm { None } else { Some(named[0]) };
                assert_eq!(inside.cuda.as_deref(), wanted, "{release} {runtime} {how}: {inside:?}");
                assert_eq!(inside.nvidia, inside.cuda, "{release} {runtime} {how}: {inside:?}");
            };
            for gres in ["--gres=gpu:1g.5gb:1", "--gres=gpu:3g.20gb:1"] {
                let container = "--container=/var/lab/bundle";
                let command = ["srun", gres, container, "/bin/lab-probe"];
                let output = lab.command(&command).user(User::Alice).output().unwrap();
                judge("srun", gres, &format!("{}{}", output.stdout, output.stderr));
                // Its script is a program of the container's, which is `lab-probe` by another name.
                let job = lab.sbatch(User::Alice, &[gres, container], "").unwrap();
                judge("sbatch", gres, &lab.wait_job(job).unwrap().output);
            }
        }
    }
}
