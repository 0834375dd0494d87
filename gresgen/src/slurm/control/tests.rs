use std::collections::BTreeSet;

use super::*;

const NODE: &str = "NodeName=n1 Arch=x86_64 CPUTot=8 AvailableFeatures=(null) Gres=gpu:1g.5gb:2(S:0-1),gpu:3g.20gb:1,fpga:2,gpu:4 \
    GresDrain=N/A GresUsed=gpu:1g.5gb:2(IDX:0-1),gpu:3g.20gb:0(IDX:N/A),fpga:1 NodeAddr=127.0.0.1 State=MIXED+DRAIN* \
    AllocTRES=cpu=1,mem=1M Reason=two words=3 [root@2026-11-22T13:50:21]";

const JOB: &str = "JobId=2 JobName=wrap UserId=ada(1000) GroupId=ada(1000) JobState=RUNNING ReqNodeList=(null) NodeList=n[1-3] \
    NumNodes=3 TRES=cpu=1,mem=1M JOB_GRES=gpu:3g.20gb:1,gpu:1g.5gb:2   Nodes=n1 CPU_IDs=7 Mem=1 \
    GRES=gpu:3g.20gb:1(IDX:2),gpu:1g.5gb:2(IDX:0,4)   Nodes=n[2-3] CPU_IDs=7 Mem=1 GRES=gpu:1g.5gb:1(IDX:0),fpga:2(IDX:9) \
    TresPerNode=gres:gpu:3g.20gb:1";

#[test]
fn a_node_is_read() {
    let node = NodeView::parse(NODE).unwrap();
    assert_eq!(node.name, "n1");
    assert!(node.is("DRAIN") && node.is("MIXED") && !node.is("IDLE") && !node.is_dynamic());
    assert_eq!(node.reason, "two words=3 [root@2026-11-22T13:50:21]");
    assert_eq!(node.gres(), "gpu:1g.5gb:2,gpu:3g.20gb:1,gpu:4");
    assert_eq!(node.types().collect::<Vec<_>>(), ["1g.5gb", "3g.20gb"]);
    assert_eq!(node.used, BTreeSet::from([0, 1]));
    let bare = NodeView::parse("NodeName=n2 Gres=(null) State=IDLE+DYNAMIC_NORM").unwrap();
    assert!(bare.gpus.is_empty() && bare.used.is_empty() && bare.is_dynamic());
    assert_eq!(NodeView::parse("Node nope not found"), None);
}

#[test]
fn a_job_is_read_for_one_of_its_nodes() {
    let on = |node: &str| JobGres::parse(JOB, node);
    assert_eq!(on("n1"), Some(JobGres { id: 2, user: "ada".into(), devices: BTreeSet::from([0, 2, 4]) }));
    assert_eq!(on("n3").unwrap().devices, BTreeSet::from([0]));
    assert_eq!(on("n4"), None);
}

#[test]
fn the_configuration_is_read() {
    let config = Config::parse(
        "Configuration data as of 2026\nTaskPlugin              = task/cgroup,task/affinity\n\
         SLURM_VERSION           = 22.05.8\nPlugStackConfig         = (null)\nTaskPluginParam = a=b\n",
    );
    assert!(config.lists("TaskPlugin", "task/cgroup") && !config.lists("TaskPlugin", "task/none"));
    assert_eq!(config.release().unwrap().to_string(), "22.05.8");
    assert_eq!((config.get("PlugStackConfig"), config.get("TaskPluginParam")), (None, Some("a=b")));
}
