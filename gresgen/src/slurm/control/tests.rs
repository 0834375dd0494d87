use std::collections::BTreeSet;

use super::*;

const NODE: &str = "NodeName=n1 Arch=x86_64 CPUAlloc=3 CPUTot=8 AvailableFeatures=(null) Gres=gpu:1g.5gb:2(S:0-1),gpu:3g.20gb:1,fpga:2,gpu:4 \
    GresDrain=N/A GresUsed=gpu:1g.5gb:2(IDX:0-1),gpu:3g.20gb:0(IDX:N/A),fpga:1 NodeAddr=127.0.0.1 NodeHostName=h1 State=MIXED+DRAIN* \
    AllocTRES=cpu=1,mem=1M Reason=two words=3 [root@2026-11-22T13:50:21]";

#[test]
fn a_node_is_read() {
    let node = NodeView::parse(NODE).unwrap();
    assert_eq!(node.name, "n1");
    assert!(node.is("DRAIN") && node.is("MIXED") && !node.is("IDLE") && !node.is_dynamic());
    assert_eq!(node.reason, "two words=3 [root@2026-11-22T13:50:21]");
    assert_eq!(node.gres(), "gpu:1g.5gb:2,gpu:3g.20gb:1,gpu:4");
    assert_eq!(node.types().collect::<Vec<_>>(), ["1g.5gb", "3g.20gb"]);
    assert_eq!(node.used, Devices::Listed(BTreeSet::from([0, 1])));
    assert_eq!((node.address.as_str(), node.host.as_str(), node.cpus_allocated), ("127.0.0.1", "h1", 3));
    let bare = NodeView::parse("NodeName=n2 Gres=(null) State=IDLE+DYNAMIC_NORM").unwrap();
    assert!(bare.gpus.is_empty() && bare.used.is_empty() && bare.is_dynamic());
    assert_eq!(NodeView::parse("Node nope not found"), None);
}

#[test]
fn jobs_are_listed() {
    let job = |query: &str, id, uid, state: &str, login: &str| Listing {
        query: query.into(),
        id,
        uid,
        state: state.into(),
        login: login.into(),
    };
    let text = "7|7|1000|R|ada\n1_2|3|0|CG|root\n12+1|13|65534|S|no|body\n1_[4-5]|1|0|PD|root\n";
    let jobs = Listing::parse(text).unwrap();
    let pending = job("1", 1, 0, "PD", "root");
    assert_eq!(
        jobs,
        [
            job("7", 7, 1000, "R", "ada"),
            job("1_2", 3, 0, "CG", "root"),
            job("12+1", 13, 65534, "S", "no|body"),
            pending
        ]
    );
    assert_eq!(jobs.iter().map(Listing::may_hold).collect::<Vec<_>>(), [true, true, true, false]);
    for wrong in ["7", "7|x|0|R|a", "7|7|x|R|a", "1\n\n2"] {
        assert!(Listing::parse(wrong).is_err(), "{wrong}");
    }
    assert_eq!(Listing::parse("").unwrap(), []);
}

#[test]
fn records_are_told_apart_by_a_word_nobody_knows() {
    let said = "scontrol: show job 7\nJobId=7 JobName=a\nscontrol: show hostnames qx\nqx\n\
                scontrol: show job 8\nscontrol: show hostnames qx\nqx\nscontrol: \n";
    let records = split(said, "qx", 2).unwrap();
    assert!(records[0].contains("JobId=7 JobName=a") && !records[1].contains("JobId="));
    assert_eq!(split(said, "qx", 3), None);
    assert_eq!(split(said, "q", 2), None);
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
