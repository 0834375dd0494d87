//! Jobs that hold a GPU through a GRES that shares it: Slurm never calls theirs `gpu`.

use lab::{LabError, Release};

use crate::site::{Setup, Site};
use crate::table::{self, Held, Holder};
use crate::verbs::Devices;

/// Two whole GPUs.
const LAYOUTS: &str = "\
version: v1
layout: day
mig-configs:
  day:
    - {devices: all, mig-enabled: false}
  fewer:
    - {devices: [0], mig-enabled: true, mig-devices: {7g.80gb: 1}}
    - {devices: [1], mig-enabled: true, mig-devices: {}}
  as-many:
    - {devices: all, mig-enabled: true, mig-devices: {7g.80gb: 1}}
";

fn setup(settings: &'static str, node: &'static str, gres_conf: &'static str) -> Setup {
    Setup { layouts: LAYOUTS, gpus: "h100-80gb-sxm:2", settings, node, gres_conf, ..Setup::USUAL }
}

#[test]
fn shards() {
    let setup = setup(
        "  gres-types: [gpu, shard]\n",
        "slurm:\n  nodes:\n    - names: n1\n      \
         attributes: NodeHostname=n1 NodeAddr=10.0.0.1 Port=6818 CPUs=32 RealMemory=4000 Gres=shard:8\n",
        "NodeName=n1 Name=shard Count=8\n",
    );
    table::run(
        &setup,
        &[
            sharing("shards of a GPU", "--gres=shard:2", 1),
            sharing("shards of a GPU, an array", "--array=0-1 --gres=shard:1", 2),
            sharing("all shards", "--gres=shard:4", 1),
            sharing("a GPU beside its shards", "--gres=gpu:1", 1),
            sharing("shards per task", "-n1 --tres-per-task=gres/shard:1", 1).since(Release::Trixie),
        ],
    );
}

#[test]
fn mps() {
    let setup = setup(
        "  gres-types: [gpu, mps]\n",
        "slurm:\n  nodes:\n    - names: n1\n      \
         attributes: NodeHostname=n1 NodeAddr=10.0.0.1 Port=6818 CPUs=32 RealMemory=4000 Gres=mps:200\n",
        "NodeName=n1 Name=mps Count=200\n",
    );
    table::run(
        &setup,
        &[sharing("a share by mps", "--gres=mps:50", 1), sharing("a whole GPU by mps", "--gres=mps:100", 1)],
    );
}

/// Which GPU it is does not matter to Slurm's numbers: both GPUs count as held where slurmctld does not say, so verbs
/// that go against both are refused.
fn sharing(name: &str, arguments: &'static str, count: usize) -> Holder {
    Holder::new(name, move |site: &Site| -> Result<Held, LabError> {
        let arguments: Vec<&str> = ["-wn1"].into_iter().chain(arguments.split_whitespace()).collect();
        site.sbatch(&arguments, "exec lab-witness")?;
        let tasks = site.wait_witnesses(count)?;
        let held = Held::by_tasks(site, tasks);
        assert_ne!(held.devices(), Devices::default(), "a share opens its GPU");
        Ok(held)
    })
}
