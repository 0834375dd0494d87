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
    let spoiled = NodeView::parse(&NODE.replace("(null)", "x,GresUsed= GresUsed=gpu:0(IDX:N/A)")).unwrap();
    assert_eq!(
        (spoiled.used, spoiled.used_count),
        (Devices::Unlisted, None),
        "which of them it is is not known"
    );
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
fn maintenance_of_a_node_is_seen_whatever_the_reservation_is_called() {
    let line = |name: &str, nodes: &str, flags: &str| {
        format!(
            "ReservationName={name} StartTime=2026-11-26T18:39:44 Duration=1 Nodes={nodes} Flags={flags} TRES=cpu=1"
        )
    };
    for (name, nodes, flags, due) in [
        ("fans", "n[1-3]", "SPEC_NODES,MAINT", true),
        ("fans", "n1,n[", "MAINT", true),
        ("fans", "n2", "MAINT", false),
        ("fans", "(null)", "MAINT", false),
        ("fans", "n1", "SPEC_NODES", false),
        ("x Flags=NONE Nodes=n9 y", "n1", "MAINT", true),
        ("x StartTime=0 ReservationName=gresgen-n1 StartTime=1", "n1", "MAINT", true),
        ("gresgen-n1", "n1", "MAINT,IGNORE_JOBS", false),
        ("gresgen-n1 y", "n1", "MAINT", true),
        ("gresgen-n2", "n1", "MAINT", true),
    ] {
        assert_eq!(is_maintenance(&line(name, nodes, flags), "n1"), due, "{name} {nodes} {flags}");
    }
    assert!(!is_maintenance("No reservations in the system", "n1"));
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
