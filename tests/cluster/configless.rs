//! A configless cluster as docs/install.md sets it up: slurmctld sends one gres.conf to nodes whose capability nodes
//! have numbers of their own, and each node makes the links that it names.

use lab::{Output, Release};

use crate::node::Node;

/// Of the node: what it writes for itself is out of the way of what slurmctld sends.
const NODE: &str = "  stable-links: true
  paths:
    gres-conf: /var/lib/gresgen/gres.conf
    node-conf: /var/lib/gresgen/node.conf
    cgroup-conf: /var/lib/gresgen/cgroup.conf
    plugstack-conf: /var/lib/gresgen/plugstack.conf
";

/// Of the machine that has slurm.conf.
const CLUSTER: &str = "\
version: v1
slurm:
  stable-links: true
  nodes:
    - names: n1
      attributes: NodeHostname=n1 NodeAddr=10.0.0.1 Port=6818 CPUs=32 RealMemory=4000
  paths: {node-conf: /etc/slurm/nodes.conf, plugstack-conf: /etc/slurm/mig.conf}
";

/// slurmctld authenticates who asks for its configuration: by munge, or by Slurm's own key where there is none.
const AUTHENTICATE: &str = "
set -e
head -c 128 /dev/urandom >/var/lab/key
chmod 600 /var/lab/key
kind=slurm
if command -v munged >/dev/null; then
    kind=munge
    mkdir -p /run/munge
    munged --force --key-file=/var/lab/key --seed-file=/var/lab/seed --log-file=/var/lab/munge.log --pid-file=/run/munge/pid
else
    cp -p /var/lab/key /var/lab/slurm.key
    cp -p /var/lab/key /etc/slurm/slurm.key
fi
sed -i \"s,^AuthType=.*,AuthType=auth/$kind,; s,^CredType=.*,CredType=cred/$kind,\" /etc/slurm/slurm.conf
sed -i 's,^CredType=cred/slurm,CredType=auth/slurm,' /etc/slurm/slurm.conf
";

/// Mount namespace of the compute node, whose `/etc/slurm` has nothing but the key.
const COMPUTE: &str = "
unshare --mount sh -c 'mount -t tmpfs none /etc/slurm
                       [ ! -e /var/lab/slurm.key ] || cp -p /var/lab/slurm.key /etc/slurm/
                       echo $$ >/run/compute; exec sleep infinity' >/tmp/compute 2>&1 </dev/null &
until [ -s /run/compute ]; do sleep 0.02; done
";

/// Runs a script on the compute node.
fn on_node(node: &Node, script: &str) -> Output {
    const ENTER: &str = "exec nsenter --target $(cat /run/compute) --mount sh -ec \"$0\"";
    node.lab.command(&["sh", "-c", ENTER, script]).output().unwrap()
}

/// Runs a script on the compute node and checks its exit code.
fn ends(node: &Node, code: i32, script: &str) -> String {
    let Output { code: ended, stdout, stderr } = on_node(node, script);
    assert_eq!(ended, code, "{}: {script}: {stdout}{stderr}", node.lab.release());
    stdout
}

fn render(node: &Node) {
    ends(node, 0, "gresgen --json status >/tmp/n1.json");
    let render = ["--config", "/etc/gresgen/cluster.yaml", "render", "--inventory", "/tmp/n1.json"];
    node.gresgen(&render).must_be(6);
}

#[test]
fn slurmctld_sends_one_gres_conf_to_the_nodes() {
    for release in Release::selected() {
        let Some(node) = Node::with(release, NODE) else { return };
        let lab = &node.lab;
        lab.write_file("/etc/gresgen/cluster.yaml", CLUSTER).unwrap();
        lab.write_file("/etc/slurm/plugstack.conf", "include /var/lib/gresgen/plugstack.conf\n").unwrap();
        let conf = "sed -i 's,^include .*,include nodes.conf\\nSlurmctldParameters=enable_configless,' /etc/slurm/slurm.conf
                    sed -i '/^NodeName=n2/d; /^GresTypes/d' /etc/slurm/slurm.conf";
        lab.run(&["sh", "-ec", conf]).unwrap();
        lab.run(&["sh", "-c", AUTHENTICATE]).unwrap();
        lab.run(&["sh", "-c", COMPUTE]).unwrap();

        // Slurm is not there yet: nothing is left to do.
        ends(&node, 0, "gresgen apply");
        render(&node);
        lab.run(&["slurmctld"]).unwrap();
        ends(&node, 0, "slurmd -N n1 --conf-server n1:6817 >/tmp/slurmd 2>&1 </dev/null");
        let state = || Ok((lab.node_state("n1")? == "IDLE").then_some(()));
        lab.wait("the node to register", state).unwrap();

        let check = ends(&node, 0, "gresgen check");
        for due in [
            "shared gres.conf  /run/slurm/conf/gres.conf has the GPUs of this node",
            "plugstack.conf    /var/lib/gresgen/plugstack.conf loads spank_mig.so",
        ] {
            assert!(check.contains(due), "{release}: {check}");
        }
        for (kind, index) in [("1g.5gb", 0), ("2g.10gb", 2), ("3g.20gb", 3)] {
            assert_eq!(node.job(kind).uuid, node.devices()[&index].uuid, "{release}");
        }

        // Another layout that slurmctld's gres.conf knows nothing of, and a cgroup.conf that confines nothing.
        lab.run(&["sh", "-c", "echo ConstrainDevices=no >>/run/slurm/conf/cgroup.conf"]).unwrap();
        ends(&node, 6, "gresgen --layout elsewhere apply");
        let check = ends(&node, 3, "gresgen --layout elsewhere check");
        for due in [
            "FAIL  shared gres.conf  /run/slurm/conf/gres.conf has other GPUs for this node",
            "FAIL  cgroup.conf       devices are not constrained",
        ] {
            assert!(check.contains(due), "{release}: {check}");
        }
    }
}
