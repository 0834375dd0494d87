//! The lab's slurm.conf and cgroup.conf.

use std::fmt::Write;

use crate::{
    Cgroup,
    options::{Node, Options},
};

/// The address every daemon serves on: Slurm refuses loopback addresses, so pid 1 adds this one to `lo`.
pub(crate) const ADDRESS: &str = "10.0.0.1";

/// slurmd of the first node; the others follow.
pub(crate) const SLURMD_PORT: usize = 6818;

/// No waiting for more to schedule. Heterogeneous jobs are started by the backfill scheduler alone, every 30 s
/// by default (slurm.conf(5), bf_interval).
const SCHEDULER: &str = "batch_sched_delay=0,sched_min_interval=1,bf_interval=1";

pub(crate) fn slurm_conf(options: &Options) -> String {
    let mut text = format!(
        "\
ClusterName=lab
SlurmctldHost={host}({ADDRESS})
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd-%n
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd-%n.pid
MailProg=/bin/true
MpiDefault=none
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/cgroup
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
LaunchParameters=use_interactive_step
SchedulerParameters={SCHEDULER}
ReturnToService=2
KillWait=2
GresTypes=gpu
",
        host = options.nodes[0].name,
    );
    text.push_str(&options.slurm_conf);
    for (position, node) in options.nodes.iter().enumerate() {
        text.push_str(&node_line(node, position, &options.nodes[0].name));
        text.push('\n');
    }
    text.push_str("PartitionName=lab Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n");
    text
}

fn node_line(node: &Node, position: usize, host: &str) -> String {
    if let Some(line) = &node.line {
        return line.clone();
    }
    let mut line = format!(
        "NodeName={} NodeHostname={host} NodeAddr={ADDRESS} Port={} CPUs={} RealMemory=4000",
        node.name,
        SLURMD_PORT + position,
        node.cpus,
    );
    if !node.gres.is_empty() {
        let _ = write!(line, " Gres={}", node.gres);
    }
    line
}

pub(crate) fn gres_conf(options: &Options) -> String {
    options.nodes.iter().map(|node| node.gres_conf.as_str()).collect()
}

pub(crate) fn cgroup_conf(options: &Options) -> String {
    let plugin = match options.cgroup {
        Cgroup::V1 => "CgroupPlugin=cgroup/v1\n",
        Cgroup::V2 => "CgroupPlugin=cgroup/v2\nCgroupMountpoint=/sys/fs/cgroup/unified\nIgnoreSystemd=yes\n",
    };
    let own = format!("ConstrainDevices={}\n", if options.constrain { "yes" } else { "no" });
    format!("{plugin}{}", options.cgroup_conf.as_ref().unwrap_or(&own))
}

pub(crate) fn hosts(options: &Options) -> String {
    let names: Vec<_> = options.nodes.iter().map(|node| node.name.as_str()).collect();
    format!("127.0.0.1 localhost\n{ADDRESS} {}\n", names.join(" "))
}
