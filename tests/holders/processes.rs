//! Holders that Slurm knows nothing of: `gresgen run`, and whoever has a device open or is listed by the driver.

use lab::{LabError, User};

use crate::site::{Setup, Site, Witness};
use crate::table::{self, Held, Holder};
use crate::verbs::Devices;

/// One GPU that is cut and one that is whole: the numbers that can be opened are few ([`Setup::openable`]).
const LAYOUTS: &str = "\
version: v1
layout: day
mig-configs:
  day:
    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: {count: 2, at: [0, 1]}, 3g.20gb: {count: 1, at: [4]}}}
    - {devices: [1], mig-enabled: false}
  fewer:
    - {devices: [0], mig-enabled: true, mig-devices: {7g.40gb: 1}}
    - {devices: [1], mig-enabled: true, mig-devices: {7g.80gb: 1}}
  as-many:
    - {devices: [0], mig-enabled: true, mig-devices: {2g.10gb: 3}}
    - {devices: [1], mig-enabled: true, mig-devices: {7g.80gb: 1}}
  without-0-4:
    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: {count: 2, at: [0, 1]}, 2g.10gb: {count: 1, at: [4]}}}
";

const SETUP: Setup = Setup { layouts: LAYOUTS, gpus: "a100-40gb:1,h100-80gb-sxm:1", ..Setup::USUAL };

/// The slice of `3g.20gb`.
fn slice() -> Devices {
    Devices { slices: [(0, 4)].into(), ..Devices::default() }
}

#[test]
fn processes_with_a_device_open() {
    let setup = Setup { openable: true, ..SETUP };
    table::run(
        &setup,
        &[
            opening("process with a slice open", User::Root, slice(), compute_node),
            opening("process of a user with a slice open", User::Alice, slice(), compute_node),
            opening("process with a GPU instance open", User::Root, slice(), instance_node),
            opening("process with a slice open by another name", User::Root, slice(), |site| {
                let minor = minor(site) + 1;
                let script =
                    format!("mkdir -p /var/lab/nodes && mknod -m 444 /var/lab/nodes/{minor} c 4 {minor}");
                let _ = site.sh(&script);
                format!("/var/lab/nodes/{minor}")
            }),
            opening("process with a whole GPU open", User::Root, Devices::whole([1]), |_| {
                "/dev/nvidia1".to_owned()
            }),
            Holder::new("process in a namespace with a slice open", |site| {
                let script = format!(
                    "setsid -f unshare --pid --fork --mount-proc lab-witness keep {} </dev/null >/dev/null 2>&1",
                    compute_node(site)
                );
                site.sh(&script)?;
                let tasks = site.wait_witnesses(1)?;
                // It knows its own number in the namespace alone.
                let pid = site.sh("pgrep -x lab-witness")?.stdout.trim().to_owned();
                Ok(Held { holders: vec![(vec![pid], slice())], ..process(tasks, slice()) })
            }),
            Holder::new("job that keeps its slice open", |site| {
                let script = format!("exec lab-witness keep {}", compute_node(site));
                site.sbatch(&["-wn1", "--gres=gpu:3g.20gb:1"], &script)?;
                let tasks = site.wait_witnesses(1)?;
                Ok(Held::by_tasks(site, tasks))
            }),
        ],
    );
}

#[test]
fn processes_that_the_driver_lists() {
    table::run(
        &SETUP,
        &[
            listed("process that the driver lists on a slice", slice(), |site| {
                let machine = site.store().read().unwrap().machine;
                let mut devices = machine.gpus[0].mig_devices();
                devices.find(|device| device.instance.start == 4).expect("it is there").uuid()
            }),
            listed("process that the driver lists on a whole GPU", Devices::whole([1]), |site| {
                site.store().read().unwrap().machine.gpus[1].uuid()
            }),
        ],
    );
}

#[test]
fn commands_on_a_slice() {
    let setup = Setup { slurm: false, ..SETUP };
    table::run(
        &setup,
        &[
            Holder::new("gresgen run", |site| {
                begin(site, User::Root, "gresgen run 3g.20gb -- lab-witness")?;
                let tasks = site.wait_witnesses(1)?;
                Ok(process(tasks, slice()))
            }),
            Holder::new("gresgen run of a shell", |site| {
                begin(site, User::Root, "gresgen run 3g.20gb -- sh -c 'lab-witness; true'")?;
                let tasks = site.wait_witnesses(1)?;
                let shell = site.sh(&format!("ps -o ppid= -p {}", tasks[0].pid))?.stdout.trim().to_owned();
                let mut held = process(tasks, slice());
                held.holders[0].0.push(shell);
                Ok(held)
            }),
        ],
    );
}

fn process(tasks: Vec<Witness>, devices: Devices) -> Held {
    let names = tasks.iter().map(|task| task.pid.to_string()).collect();
    Held { holders: vec![(names, devices)], user: "", by_job: false, tasks, instead: None }
}

/// A process that keeps the node open that `path` gives.
fn opening(name: &str, user: User, devices: Devices, path: impl Fn(&Site) -> String + 'static) -> Holder {
    Holder::new(name, move |site| {
        begin(site, user, &format!("lab-witness keep {}", path(site)))?;
        let tasks = site.wait_witnesses(1)?;
        Ok(process(tasks, devices.clone()))
    })
}

/// A process that has nothing open, and that the driver lists on the device of this UUID.
fn listed(name: &str, devices: Devices, uuid: impl Fn(&Site) -> String + 'static) -> Holder {
    Holder::new(name, move |site| {
        begin(site, User::Root, "lab-witness")?;
        let tasks = site.wait_witnesses(1)?;
        let file = "/var/lab/sim/var/lib/nvml-sim/processes";
        site.lab.write_file(file, format!("{} {}\n", uuid(site), tasks[0].pid))?;
        Ok(process(tasks, devices.clone()))
    })
}

fn begin(site: &Site, user: User, command: &str) -> Result<(), LabError> {
    let script = format!("setsid -f {command} </dev/null >/var/lab/out/said 2>&1");
    site.begin(site.lab.command(&["bash", "-c", &script]).user(user))
}

/// Minor of the capability of the GPU instance of `3g.20gb` (nv-caps.c of NVIDIA's open-gpu-kernel-modules).
fn minor(site: &Site) -> u32 {
    let machine = site.store().read().unwrap().machine;
    let instance =
        machine.gpus[0].instances.iter().find(|instance| instance.start == 4).expect("it is there");
    instance.id * 9 + 3
}

fn instance_node(site: &Site) -> String {
    format!("/dev/nvidia-caps/nvidia-cap{}", minor(site))
}

fn compute_node(site: &Site) -> String {
    format!("/dev/nvidia-caps/nvidia-cap{}", minor(site) + 1)
}
