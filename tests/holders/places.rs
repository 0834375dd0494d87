//! Nodes that Slurm knows by another name than the host has, and configurations that lie elsewhere.

use lab::{Release, Simulated};

use crate::site::{Setup, Site};
use crate::table::{self, Held, Holder};

/// Runs a program of Slurm with the configuration that lies elsewhere, in a folder with a blank in its name and in several
/// files. `gresgen` does not have these on its PATH. Slurm's `include` has no way to say a blank.
const ELSEWHERE: &str = r#"
mkdir -p '/opt/slurm conf' /opt/parts && mv /etc/slurm '/opt/slurm conf/etc' && cd '/opt/slurm conf/etc'
mv plugstack.conf.d /opt/parts/ 2>/dev/null || mkdir /opt/parts/plugstack.conf.d
sed -i 's,^include /etc/slurm/gresgen-node.conf,Include /opt/parts/nodes.conf \
 # which includes others,' slurm.conf
echo 'include /opt/parts/gpus.conf' >/opt/parts/nodes.conf
echo 'INCLUDE /opt/parts/gresgen-node.conf # one of them' >/opt/parts/gpus.conf
sed -i 's,/etc/slurm/,/opt/parts/,' plugstack.conf
for program in slurmctld slurmd scontrol squeue sinfo sbatch srun salloc scancel; do
  printf '#!/bin/sh\nSLURM_CONF="/opt/slurm conf/etc/slurm.conf" exec %s "$@"\n' "$(command -v $program)" >/usr/local/sbin/$program.new
  chmod 755 /usr/local/sbin/$program.new && mv /usr/local/sbin/$program.new /usr/local/sbin/$program
done"#;

const PATHS: &str = "  types: {models: {NVIDIA H100 80GB HBM3: a100}}\n  paths: {gres-conf: /opt/slurm conf/etc/gres.conf, \
                     cgroup-conf: /opt/slurm conf/etc/cgroup.conf, node-conf: /opt/parts/gresgen-node.conf, \
                     plugstack-conf: /opt/parts/plugstack.conf.d/mig.conf}\n";

const BARE_PATH: (&str, &str) = ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
const SLURM_CONF: &str = "SLURM_CONF";

fn rows(instead: Option<&'static str>) -> Vec<Holder> {
    let row = move |name: &str, arguments: &'static str, count: usize| {
        Holder::new(name, move |site| {
            site.sbatch(&arguments.split(' ').collect::<Vec<_>>(), "exec lab-witness")?;
            let tasks = site.wait_witnesses(count)?;
            Ok(Held { instead, ..Held::by_tasks(site, tasks) })
        })
    };
    vec![
        row("job", "--gres=gpu:3g.20gb:1", 1),
        row("array", "--array=0-1 --gres=gpu:3g.20gb:1", 2),
        row("job on the whole GPU", "--gres=gpu:a100:1", 1),
    ]
}

/// The node as Slurm calls it, on the host `n1`; `slurm.node` is not set.
fn named(name: &'static str, node: &'static str) {
    let setup = Setup { node, ..Setup::USUAL };
    table::run_with(&setup, &rows(Some("slurm.node")), |release, setup| {
        let mut site = Site::bare(release, setup)?;
        site.nodes = [name, "n2"];
        // Before there is a Slurm to ask, whoever sets the node up says its name.
        site.environment = vec![("SLURMD_NODENAME", name)];
        site.cut();
        site.environment.clear();
        site.sh(&format!("ln -s n1 /var/lab/node/{name}")).unwrap();
        start(&site);
        Some(site)
    });
}

fn start(site: &Site) {
    site.lab.run(&["slurmctld"]).unwrap();
    for node in site.nodes {
        site.lab.start_slurmd(node).unwrap();
    }
    site.wait_nodes().unwrap();
}

#[test]
fn name_that_is_not_the_hosts() {
    named(
        "queue1-st-gpu-1",
        "slurm:\n  nodes:\n    - names: queue1-st-gpu-[1-4]\n      \
         attributes: NodeHostname=n1 NodeAddr=10.0.0.1 Port=6818 CPUs=32 RealMemory=4000\n",
    );
}

#[test]
fn name_with_dots() {
    named(
        "gpu-1.cluster.example",
        "slurm:\n  nodes:\n    - names: gpu-1.cluster.example\n      \
         attributes: NodeHostname=n1 NodeAddr=10.0.0.1 Port=6818 CPUs=32 RealMemory=4000\n",
    );
}

fn elsewhere(environment: &[(&'static str, &'static str)], instead: Option<&'static str>) {
    let setup = Setup { settings: PATHS, ..Setup::USUAL };
    table::run_with(&setup, &rows(instead), |release: Release, setup| {
        let mut site = Site::bare(release, setup)?;
        site.sh(ELSEWHERE).unwrap();
        site.environment = environment.iter().copied().chain([BARE_PATH]).collect();
        site.cut();
        start(&site);
        Some(site)
    });
}

#[test]
fn configuration_that_the_environment_names() {
    elsewhere(&[(SLURM_CONF, "/opt/slurm conf/etc/slurm.conf")], None);
}

#[test]
fn configuration_that_the_daemons_alone_know() {
    // Where the daemons found theirs can be told; a refusal that says what to set is as good.
    elsewhere(&[], Some(SLURM_CONF));
}

/// The usual node, to show that what is special in the others is their place.
#[test]
fn usual_place() {
    table::run(&Setup { node: Simulated::NODE, ..Setup::USUAL }, &rows(None));
}
