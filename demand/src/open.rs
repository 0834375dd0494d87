//! Whether Slurm takes a job for one that can run.

use mig::Profile;

use crate::cluster::{Cluster, Node, State};
use crate::job::{Job, Share, Want};

/// Whether as many nodes as a job wants have all that it asks for, open and settled, whoever has it. Slurm, which holds a job that no
/// node that it may have could run, does not hold it then.
///
/// # Panics
/// When a set names a node that the cluster lacks.
pub fn is_open(cluster: &Cluster, job: &Job) -> bool {
    let has = |node: &Node, share: &Share| {
        let all = || node.gpus.iter().flat_map(|gpu| &gpu.instances);
        let open = || all().filter(|instance| !instance.closed && instance.state != State::Coming);
        let count = |want: &Want| {
            let is = |profile: Profile| want.profile.is_none_or(|wanted| wanted == profile);
            open().filter(|instance| is(instance.placement.profile)).count()
        };
        node.usable && !node.underway && share.want.iter().all(|want| count(want) >= want.count as usize)
    };
    let enough = |share: &Share| {
        let set = cluster.sets.get(share.set).map_or(&[][..], Vec::as_slice);
        set.iter().filter(|&&node| has(&cluster.nodes[node], share)).count() >= share.nodes as usize
    };
    !job.shares.is_empty() && job.shares.iter().all(enough)
}
