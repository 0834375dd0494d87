//! Boots of a node under a real systemd: the boot unit, Debian's slurmd.service with a real slurmd, and units in
//! the place of NVIDIA's. What starts after what is told by systemd itself.

use lab::{Release, Simulated};

use crate::node::Node;

const SCRIPT: &str = include_str!("assets/systemd.sh");

/// The boot unit as it is installed.
const BOOT: &str = include_str!("../../packaging/systemd/gresgen-boot.service");

/// The arbiter's unit as it is installed.
const ARBITER: &str = include_str!("../../packaging/systemd/gresgen-arbiter.service");

/// For slurmd, which finds the devices controller elsewhere under this systemd.
const CGROUP: &str = "  cgroup: {CgroupPlugin: cgroup/v1, CgroupMountpoint: /var/lab/cgroup}\n";

/// Units in the place of those of this name, each of which takes so many seconds, unlike the others.
const STAND_INS: [(&str, &str); 6] = [
    ("nvidia-persistenced", "0.2"),
    ("nvidia-fabricmanager", "0.4"),
    ("munge", "0.6"),
    ("network-up", "0.8"),
    ("nvidia-dcgm", "0.1"),
    ("nvidia-dcgm-exporter", "0.1"),
];

/// A node that has been started.
struct Booted<'a> {
    node: &'a Node,
    /// Its systemd, as the lab numbers it.
    pid: String,
}

/// What systemd says of a unit. Times are in microseconds of CLOCK_MONOTONIC, 0 for what has not happened.
#[derive(Debug)]
struct Unit {
    state: String,
    result: String,
    start: u64,
    exit: u64,
}

impl<'a> Booted<'a> {
    /// Reboots a node in service, and starts it with this boot unit.
    fn start(node: &'a Node, unit: &str) -> Self {
        let lab = &node.lab;
        node.reboot();
        let write = |file: &str, text: &str| lab.write_file(&format!("/var/lab/extra/{file}"), text).unwrap();
        write("gresgen-boot.service", unit);
        // Two minutes are for a driver that comes late.
        let quick = "[Service]\nExecStart=\nExecStart=/usr/bin/gresgen apply --boot --wait=1s\n";
        write("gresgen-boot.service.d/quick.conf", quick);
        for (name, seconds) in STAND_INS {
            let before = if name == "network-up" { "[Unit]\nBefore=network-online.target\n" } else { "" };
            let service =
                format!("[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep {seconds}\n");
            write(&format!("{name}.service"), &format!("{before}{service}"));
        }
        let wants = "cd /var/lab/extra; mkdir -p multi-user.target.wants
                     for unit in gresgen-boot slurmd $*; do ln -sf ../$unit.service multi-user.target.wants; done
                     echo n1 >/etc/hostname; cp /usr/local/bin/gresgen /usr/bin/gresgen
                     echo 'SLURMD_OPTIONS=\"-N n1\"' >/etc/default/slurmd";
        lab.run(&[&["sh", "-ec", wants, "sh"][..], &STAND_INS.map(|(name, _)| name)].concat()).unwrap();
        lab.write_file("/var/lab/systemd.sh", SCRIPT).unwrap();
        let started = lab.run(&["sh", "/var/lab/systemd.sh", "/var/lab/extra", Simulated::TREE]);
        let booted = Booted { node, pid: started.unwrap().stdout.trim().to_owned() };
        lab.wait("systemd to be through", || {
            let jobs = booted.systemctl(&["list-jobs"]);
            Ok(jobs.contains("No jobs running").then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error}\n{}", lab.read_file("/var/log/systemd.log").unwrap()));
        booted
    }

    fn systemctl(&self, arguments: &[&str]) -> String {
        let enter = ["nsenter", "--target", &self.pid, "--mount", "--pid", "/usr/bin/systemctl"];
        self.node.lab.command(&[&enter, arguments].concat()).output().unwrap().stdout
    }

    fn unit(&self, name: &str) -> Unit {
        let text = self.systemctl(&["show", &format!("{name}.service")]);
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_else(|| panic!("{name} has no {key}: {text}")).to_owned()
        };
        let time = |key: &str| value(key).parse().unwrap();
        Unit {
            state: value("ActiveState"),
            result: value("Result"),
            start: time("ExecMainStartTimestampMonotonic"),
            exit: time("ExecMainExitTimestampMonotonic"),
        }
    }

    /// Checks that the boot unit began when all that it needs was done, and ended before anything else opened the
    /// GPUs or read gres.conf.
    fn in_order(&self) {
        let release = self.node.lab.release();
        let boot = self.unit("gresgen-boot");
        for name in ["nvidia-persistenced", "nvidia-fabricmanager", "munge", "network-up"] {
            let unit = self.unit(name);
            assert!(0 < unit.exit && unit.exit < boot.start, "{release}: {name}: {unit:?}, {boot:?}");
        }
        for name in ["slurmd", "nvidia-dcgm", "nvidia-dcgm-exporter"] {
            let unit = self.unit(name);
            assert!(0 < boot.exit && boot.exit < unit.start, "{release}: {name}: {unit:?}, {boot:?}");
            assert_eq!(unit.state, "active", "{release}: {name}");
        }
    }

    /// Starts the arbiter's unit, with its powers and none more, and waits for what it is to come to.
    fn arbiter(&self, config: &str, state: &str) -> Unit {
        let lab = &self.node.lab;
        let write = |file: &str, text: &str| lab.write_file(file, text).unwrap();
        write("/etc/gresgen/arbiter.yaml", config);
        let unit = "/run/systemd/system/gresgen-arbiter.service";
        let enter = ["nsenter", "--target", &self.pid, "--mount", "--pid"];
        let inside = |command: &[&str]| lab.run(&[&enter[..], command].concat()).unwrap();
        write("/var/lab/arbiter.service", ARBITER);
        let other = "[Service]\nExecStart=\nExecStart=/usr/bin/gresgen --config /etc/gresgen/arbiter.yaml arbiter \
                     --lock /run/arbiter.lock\n";
        write("/var/lab/arbiter.conf", other);
        let script = format!(
            "mkdir -p {unit}.d && cp /var/lab/arbiter.service {unit} && cp /var/lab/arbiter.conf {unit}.d/"
        );
        inside(&["sh", "-ec", &script]);
        self.systemctl(&["daemon-reload"]);
        self.systemctl(&["restart", "gresgen-arbiter"]);
        let is = || {
            let locked =
                inside(&["sh", "-c", "flock --nonblock /run/arbiter.lock true && echo free || echo held"])
                    .stdout;
            let held = locked.trim() == "held";
            let unit = self.unit("gresgen-arbiter");
            Ok((unit.state == state && held == (state == "active")).then_some(unit))
        };
        lab.wait(&format!("the arbiter to be {state}"), is)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.systemctl(&["status", "gresgen-arbiter"])))
    }

    fn stop(self) {
        self.node.lab.run(&["kill", "-KILL", &self.pid]).unwrap();
    }
}

#[test]
fn the_layout_is_there_when_slurmd_starts() {
    for release in Release::selected() {
        let Some(node) = Node::in_service_with(release, CGROUP) else { return };
        let booted = Booted::start(&node, BOOT);
        booted.in_order();
        let boot = booted.unit("gresgen-boot");
        assert_eq!((boot.state.as_str(), boot.result.as_str()), ("active", "success"), "{release}");
        node.settled();
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE", "{release}");
        assert_eq!(node.job("2g.10gb").uuid, node.devices()[&2].uuid, "{release}");
        let config = node.lab.read_file("/etc/gresgen/config.yaml").unwrap();
        let on_request = "  on-request: [{profiles: [1g.5gb], orders: true}]\n";
        booted.arbiter(&format!("{config}{on_request}"), "active");
        // What is wrong in the configuration is not tried again and again.
        let unit = booted.arbiter(&config, "failed");
        assert_eq!(unit.result, "exit-code", "{release}");
        booted.stop();
    }
}

#[test]
fn slurmd_starts_where_the_layout_cannot_be_restored() {
    for release in Release::selected() {
        let Some(node) = Node::in_service_with(release, CGROUP) else { return };
        node.lab.run(&["mv", "/usr/local/lib/gresgen/libnvml_sim.so", "/var/lab/away"]).unwrap();
        let booted = Booted::start(&node, BOOT);
        booted.in_order();
        let boot = booted.unit("gresgen-boot");
        assert_eq!((boot.state.as_str(), boot.result.as_str()), ("failed", "exit-code"), "{release}");
        let drained = || {
            let view = node.lab.run(&["scontrol", "-o", "show", "node", "n1"])?.stdout;
            Ok((view.contains("DRAIN") && view.contains("INVAL")).then_some(view))
        };
        let view = node.lab.wait("the node to be refused", drained).unwrap();
        assert!(view.contains("Reason=gres"), "{release}: {view}");
        booted.stop();
    }
}

#[test]
fn another_order_would_be_noticed() {
    let Some(node) = Node::in_service_with(Release::Bookworm, CGROUP) else { return };
    let unit = BOOT.replace("Before=slurmd.service", "Before=");
    assert_ne!(unit, BOOT);
    let booted = Booted::start(&node, &unit);
    let (boot, slurmd) = (booted.unit("gresgen-boot"), booted.unit("slurmd"));
    assert!(0 < slurmd.start && slurmd.start < boot.exit, "{slurmd:?}, {boot:?}");
    booted.stop();
}
