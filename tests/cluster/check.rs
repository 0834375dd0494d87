//! `gresgen check` beside a running Slurm that is broken in one place after another. Faults of the node itself
//! are in tests/render.

use std::thread::sleep;
use std::time::Duration;

use lab::Release;

use crate::node::Node;

/// One thing that is wrong, by shell scripts.
struct Fault {
    /// Makes it so.
    provoke: &'static str,
    /// What check says then and did not say before: verdict, link, and words of it.
    due: &'static [(&'static str, &'static str, &'static str)],
    /// Takes it back.
    mend: &'static str,
}

/// What a check says of links that do not hold.
fn wrong(node: &Node) -> Vec<(String, String, String)> {
    let answer = node.gresgen(&["--json", "check"]);
    let links: Vec<serde_json::Value> = serde_json::from_str(&answer.stdout).unwrap_or_default();
    assert!(!links.is_empty(), "{}{}", answer.stdout, answer.stderr);
    let text = |link: &serde_json::Value, key: &str| link[key].as_str().unwrap().to_owned();
    let wrong = links.iter().filter(|link| link["verdict"] != "pass");
    wrong
        .map(|link| {
            assert_ne!(text(link, "fix"), "", "{link}");
            (text(link, "verdict"), text(link, "name"), text(link, "what"))
        })
        .collect()
}

/// Provokes each fault on a node and mends it.
fn each(node: &Node, faults: &[Fault]) {
    let release = node.lab.release();
    let before = wrong(node);
    assert!(before.iter().all(|(verdict, ..)| verdict == "warn"), "{release}: {before:#?}");
    for Fault { provoke, due, mend } in faults {
        node.lab.run(&["sh", "-ec", provoke]).unwrap();
        let is = |(verdict, name, what): &(String, String, String), due: &(&str, &str, &str)| {
            verdict == due.0 && name == due.1 && what.contains(due.2)
        };
        // Where a daemon was restarted, it is seen once it answers.
        let mut news = Vec::new();
        let seen = (0..150).any(|attempt| {
            sleep(Duration::from_millis(if attempt == 0 { 0 } else { 200 }));
            news = wrong(node).into_iter().filter(|link| !before.contains(link)).collect();
            news.len() == due.len() && news.iter().zip(*due).all(|(link, due)| is(link, due))
        });
        assert!(seen, "{release}: {provoke}: {news:#?}");
        node.lab.run(&["sh", "-ec", mend]).unwrap();
        node.lab.wait_nodes().unwrap();
        assert_eq!(wrong(node), before, "{release}: {mend}");
    }
}

/// A process of this name.
macro_rules! client {
    ($name:literal, $seen:literal) => {
        Fault {
            provoke: concat!(
                "cp /bin/sleep /tmp/", $name, "; /tmp/", $name,
                " 600 >/tmp/said 2>&1 </dev/null & echo $! >/tmp/client; until [ \"$(readlink /proc/$!/exe)\" = /tmp/", $name, " ]; do :; done"
            ),
            due: &[("warn", "clients", $seen)],
            mend: concat!("kill $(cat /tmp/client); rm /tmp/", $name),
        }
    };
}

/// Of the plugin's line.
const PLUGSTACK: [Fault; 7] = [
    Fault {
        provoke: "mv /etc/slurm/plugstack.conf /tmp/",
        due: &[("fail", "plugstack.conf", "no line loads spank_mig.so")],
        mend: "mv /tmp/plugstack.conf /etc/slurm/",
    },
    Fault {
        provoke: "echo 'optional spank_mig.so' >>/etc/slurm/plugstack.conf",
        due: &[("warn", "plugstack.conf", "2 lines load spank_mig.so")],
        mend: "sed -i '$d' /etc/slurm/plugstack.conf",
    },
    Fault {
        provoke: "mv /usr/lib/*/slurm-wlm/spank_mig.so /tmp/",
        due: &[("fail", "plugstack.conf", "spank_mig.so: there is no such plugin")],
        mend: "mv /tmp/spank_mig.so /usr/lib/*/slurm-wlm/",
    },
    Fault {
        provoke: "cp /etc/slurm/plugstack.conf /tmp/; echo 'required spank_mig.so' >/etc/slurm/plugstack.conf",
        due: &[("warn", "plugstack.conf", "spank_mig.so is required")],
        mend: "mv /tmp/plugstack.conf /etc/slurm/",
    },
    Fault {
        provoke: "cp /etc/slurm/plugstack.conf /tmp/
                  echo 'optional spank_mig.so mpa=/x on_unresolved=die map=devices' >/etc/slurm/plugstack.conf",
        due: &[
            ("fail", "plugstack.conf", "\"mpa=/x\": no argument of the plugin, did you mean map?"),
            ("fail", "plugstack.conf", "\"on_unresolved=die\": one of fail, warn is due"),
            ("fail", "plugstack.conf", "\"map=devices\": an absolute path is due"),
        ],
        mend: "mv /tmp/plugstack.conf /etc/slurm/",
    },
    Fault {
        provoke: "sed -i '1i optional spank_pyxis.so' /etc/slurm/plugstack.conf",
        due: &[("fail", "plugstack.conf", "pyxis comes first")],
        mend: "sed -i 1d /etc/slurm/plugstack.conf",
    },
    Fault {
        provoke: "mv /usr/local/lib/gresgen/libnvml_sim.so /tmp/",
        due: &[("fail", "driver", "/usr/local/lib/gresgen/libnvml_sim.so")],
        mend: "mv /tmp/libnvml_sim.so /usr/local/lib/gresgen/",
    },
];

/// Of slurmctld, its configuration and its picture of the node. `scontrol` says what a slurmctld of a later release
/// would.
const CONTROLLER: [Fault; 9] = [
    // The prefix may be left out, which is how much of the documentation in the field writes it.
    Fault {
        provoke: "cp /etc/slurm/slurm.conf /tmp/; cd /etc/slurm
                  sed -i 's,^TaskPlugin=.*,TaskPlugin=affinity\\,cgroup,' slurm.conf; systemctl restart slurmctld",
        due: &[],
        mend: "mv /tmp/slurm.conf /etc/slurm/; systemctl restart slurmctld",
    },
    Fault {
        provoke: "cp /etc/slurm/slurm.conf /tmp/; cd /etc/slurm
                  sed -i '/^SelectType/d' slurm.conf; echo SelectType=select/linear >>slurm.conf; systemctl restart slurmctld",
        due: &[("fail", "SelectType", "is select/linear")],
        mend: "mv /tmp/slurm.conf /etc/slurm/; systemctl restart slurmctld",
    },
    Fault {
        provoke: "cp /etc/slurm/gresgen-node.conf /tmp/; cd /etc/slurm
                  sed -i 's/ CPUs=[0-9]*//; s/ RealMemory=[0-9]*//' gresgen-node.conf; systemctl restart slurmctld",
        due: &[
            ("fail", "files", "out of date: /etc/slurm/gresgen-node.conf"),
            ("fail", "node hardware", "slurmctld has CPUs=1, not 32, slurmctld has RealMemory=1, not 4000"),
        ],
        mend: "mv /tmp/gresgen-node.conf /etc/slurm/; systemctl restart slurmctld",
    },
    Fault {
        provoke: "systemctl stop slurmctld",
        due: &[("fail", "slurmctld", "unreachable")],
        mend: "systemctl start slurmctld",
    },
    Fault {
        provoke: r#"printf '#!/bin/sh\n/usr/bin/scontrol "$@" | sed "s/^\(SLURM_VERSION *= \).*/\\127.05.0/"\n' \
                    >/usr/local/bin/scontrol; chmod +x /usr/local/bin/scontrol"#,
        due: &[("warn", "slurmctld", "runs Slurm \"27.05.0\", which gresgen does not know")],
        mend: "rm /usr/local/bin/scontrol",
    },
    Fault {
        provoke: "cd /etc/slurm; cp slurm.conf gresgen-node.conf /tmp/
                  sed -i 's,^TaskPlugin=.*,TaskPlugin=task/affinity,; s/^GresTypes=.*/GresTypes=fpga/' slurm.conf
                  sed -i '/^GresTypes/d; s/ Gres=[^ ]*//' gresgen-node.conf
                  systemctl restart slurmctld",
        due: &[
            ("fail", "files", "out of date: /etc/slurm/gresgen-node.conf"),
            ("fail", "TaskPlugin", "has no task/cgroup"),
            ("fail", "GresTypes", "has no gpu"),
            ("fail", "node line", "slurmctld has Gres=, the node has gpu:1g.5gb:2,"),
        ],
        mend: "mv /tmp/slurm.conf /tmp/gresgen-node.conf /etc/slurm/; systemctl restart slurmctld",
    },
    Fault {
        provoke: "sed -i 's/^slurm:/&\\n  node: n9/' /etc/gresgen/config.yaml",
        due: &[
            ("fail", "layout", "node n9: no entry of slurm.nodes names it"),
            ("fail", "files", "node n9: no entry of slurm.nodes names it"),
            ("fail", "node", "n9"),
        ],
        mend: "sed -i '/node: n9/d' /etc/gresgen/config.yaml",
    },
    Fault {
        provoke: "scontrol update NodeName=n1 State=DRAIN Reason='a broken fan'",
        due: &[("fail", "node", "is idle+drain: a broken fan")],
        mend: "scontrol update NodeName=n1 State=RESUME",
    },
    Fault {
        provoke: "cp /etc/slurm/cgroup.conf /tmp/; sed -i 's/=yes/=no/' /etc/slurm/cgroup.conf",
        due: &[
            ("fail", "files", "out of date: /etc/slurm/cgroup.conf"),
            ("fail", "cgroup.conf", "devices are not constrained"),
        ],
        mend: "mv /tmp/cgroup.conf /etc/slurm/",
    },
];

/// Who may hold GPUs so that they cannot be cut. A process is known by the name of its program, cut to the 15
/// characters that the kernel keeps; slurmd by a library it has mapped.
const CLIENTS: [Fault; 8] = [
    client!("nvidia-persistenced", "nvidia-persiste (process "),
    client!("nv-hostengine", "nv-hostengine (process "),
    client!("dcgm-exporter", "dcgm-exporter (process "),
    client!("nvidia-smi", "nvidia-smi (process "),
    client!("Xorg", "Xorg (process "),
    Fault {
        provoke: "cp /lib/*-linux-gnu/libz.so.1 /tmp/hwloc_opencl.so
                  systemctl stop slurmd; LD_PRELOAD=/tmp/hwloc_opencl.so systemctl start slurmd",
        due: &[("warn", "clients", "hwloc's OpenCL plugin in slurmd")],
        mend: "systemctl restart slurmd",
    },
    Fault {
        provoke:
            "mkdir -p /tmp/module/nvidia_drm/parameters; echo Y >/tmp/module/nvidia_drm/parameters/modeset
                  mount --bind /tmp/module /sys/module",
        due: &[("warn", "clients", "nvidia_drm with modeset")],
        mend: "umount /sys/module",
    },
    // The module without displays holds nothing.
    Fault {
        provoke: "echo N >/tmp/module/nvidia_drm/parameters/modeset; mount --bind /tmp/module /sys/module",
        due: &[],
        mend: "umount /sys/module",
    },
];

#[test]
fn what_is_wrong_with_slurm_is_noticed() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        each(&node, &PLUGSTACK);
        each(&node, &CONTROLLER);
        each(&node, &CLIENTS);
    }
}

#[test]
fn a_layout_that_slurm_has_not_been_told_of_is_noticed() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let before = wrong(&node);
        let has =
            |words: &str| before.iter().any(|(_, name, what)| name == "release" && what.contains(words));
        assert!(has("a typed --gpus-per-task"), "{release}: {before:?}");
        assert_eq!(has("refuses requests for 1g.5gb"), release == Release::Bookworm, "{release}: {before:?}");

        node.gresgen(&["--layout", "fine", "apply"]).must_be(6);
        // As on a host with cgroup v2 alone.
        let command = "mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup && gresgen --layout fine check";
        let check = node.lab.command(&["unshare", "--mount", "sh", "-c", command]).output().unwrap();
        let fails: Vec<&str> = check.stdout.lines().filter(|line| line.starts_with("FAIL")).collect();
        let mut due = vec![
            ("map of slurmd", "slurmd started before the last apply"),
            (
                "node line",
                "slurmctld has Gres=gpu:1g.5gb:2,gpu:2g.10gb:1,gpu:3g.20gb:2, the node has gpu:1g.5gb:14",
            ),
            ("node", "is idle+drain: gresgen: layout fine"),
        ];
        if release == Release::Bookworm {
            due.push(("release", "on cgroup v2 confines nothing on a node of 30 device nodes"));
        }
        let is = |(line, (name, what)): (&&str, &(&str, &str))| line.contains(name) && line.contains(what);
        assert!(fails.len() == due.len() && fails.iter().zip(&due).all(is), "{release}: {fails:#?}");
    }
}
