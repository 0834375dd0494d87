use std::path::PathBuf;

use device_map::{DeviceFile, NoDevice};

use super::*;
use crate::slurm::control::Devices;
use crate::slurm::names::TypeName;

fn record(gres_type: &str, n: u32) -> Record {
    let file = DeviceFile { path: PathBuf::from(format!("/dev/{n}")), major: 238, minor: n };
    Record {
        gres_type: gres_type.into(),
        uuid: format!("MIG-{n}"),
        parent: "GPU-0".into(),
        instance: Some((n, 0)),
        files: vec![file],
    }
}

fn table(records: &[Record]) -> GresTable {
    let mut types: Vec<(TypeName, u32)> = Vec::new();
    for record in records {
        match types.last_mut() {
            Some((name, count)) if name.as_str() == record.gres_type => *count += 1,
            _ => types.push((TypeName::new(&record.gres_type).unwrap(), 1)),
        }
    }
    GresTable { types, records: records.to_vec(), form: None }
}

fn old() -> Vec<Record> {
    vec![record("1g.5gb", 0), record("1g.5gb", 1), record("3g.20gb", 2)]
}

fn moved() -> Vec<Record> {
    vec![record("1g.5gb", 0), record("1g.5gb", 7), record("3g.20gb", 2)]
}

fn retyped() -> Vec<Record> {
    vec![record("1g.5gb", 0), record("2g.10gb", 8), record("3g.20gb", 2)]
}

fn longer() -> Vec<Record> {
    [old(), vec![record("4g.20gb", 9)]].concat()
}

fn node() -> Node {
    let line = Some("slurm.conf needs the line".to_owned());
    Node { name: "n1".into(), dynamic: false, attributes: "CPUs=8".into(), line, gres: None }
}

fn lines(node: &Node, after: &[Record], release: &str) -> String {
    let change = Change::between(&old(), after);
    let actions = transition(node, change, &table(after), release.parse().unwrap());
    let list: String = actions.iter().map(|a| format!("  {a}\n")).collect();
    format!("{release} {change:?}\n{list}")
}

#[test]
fn each_release_gets_what_it_needs() {
    let mut text = String::new();
    for release in ["22.05.8", "23.02", "23.11", "24.11", "26.05"] {
        for after in [old(), moved(), retyped(), longer()] {
            text.push_str(&lines(&node(), &after, release));
        }
    }
    text.push_str(&lines(&Node { line: None, ..node() }, &longer(), "22.05"));
    text.push_str(&lines(&Node { dynamic: true, ..node() }, &longer(), "24.11"));
    text.push_str(&lines(&Node { dynamic: true, ..node() }, &moved(), "24.11"));
    insta::assert_snapshot!(text);
}

fn job(devices: &[usize]) -> JobGres {
    let devices = Devices::Listed(devices.iter().copied().collect());
    JobGres { id: 7, user: "ada".into(), devices, types: Some(["1g.5gb".into()].into()) }
}

#[test]
fn jobs_forbid_what_would_hurt_them() {
    let on = |release: &str, after: &[Record], jobs: &[JobGres]| {
        allow("n1", release.parse().unwrap(), (&old(), after), jobs)
    };
    let allow = |after: &[Record], jobs: &[JobGres]| on("26.05", after, jobs);
    assert!(allow(&longer(), &[]).is_ok());
    assert!(allow(&longer(), &[job(&[])]).is_ok(), "a job without GPUs");
    assert!(allow(&moved(), &[job(&[0, 2])]).is_ok(), "its devices keep their index");
    assert!(allow(&retyped(), &[job(&[0])]).is_ok());
    // A step that is there before a guard is could open what is made later.
    let mut guarded = longer();
    guarded.push(Record { uuid: NoDevice::Guard.name(guarded.len()), instance: None, ..guarded[0].clone() });
    assert!(allow(&guarded, &[]).is_ok() && allow(&guarded, &[job(&[])]).is_err());
    // The last 3g goes: one that asked for any type has a record of it, and of one that cannot be read nobody knows.
    let renamed: Vec<Record> = [&old()[..2], &[record("2g.10gb", 2)]].concat();
    let any = JobGres { types: Some(["1g.5gb".into(), "3g.20gb".into()].into()), ..job(&[0]) };
    assert!(allow(&renamed, &[job(&[0])]).is_ok());
    assert!(on("23.02", &renamed, std::slice::from_ref(&any)).is_ok(), "it does not look at types");
    assert!(allow(&renamed, &[JobGres { types: None, ..job(&[0]) }]).is_err());
    assert!(allow(&renamed, &[JobGres { types: None, ..job(&[]) }]).is_ok(), "a job without GPUs");
    let refused = [
        allow(&renamed, &[any]).unwrap_err().to_string(),
        allow(&longer(), &[job(&[0]), JobGres { id: 9, ..job(&[1]) }]).unwrap_err().to_string(),
        allow(&moved(), &[job(&[1])]).unwrap_err().to_string(),
        allow(&moved(), &[JobGres { devices: Devices::Unlisted, ..job(&[]) }]).unwrap_err().to_string(),
    ];
    insta::assert_snapshot!(refused.join("\n"));
}
