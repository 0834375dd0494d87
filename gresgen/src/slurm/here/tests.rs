use std::fs;

use super::*;

fn host(names: &[&str], addresses: &[&str]) -> Host {
    let own = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    Host { names: own(names), addresses: own(addresses).into_iter().collect() }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn a_node_is_found_by_its_name_its_host_or_its_address() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("slurm.conf");
    let text = "ClusterName=x\ninclude nodes.conf\nNodeName=plain CPUs=2 # NodeHostname=g1\n\
                nodename=queue1-st-[1-3] NODEHOSTNAME=g[5-7] \\\n  NodeAddr=10.0.0.[5-7]\n\
                NodeName=far-[1-2] NodeAddr=10.1.0.[1-2]\nNodeName=n1.cluster.example\n";
    fs::write(&path, text).unwrap();
    fs::write(directory.path().join("nodes.conf"), "include slurm.conf\nNodeName=a,b NodeHostname=two\n")
        .unwrap();
    let lines = node_lines(&Conf::read(&path, &Root::host()));
    let names = |names: &[&str], addresses: &[&str]| host(names, addresses).nodes(&lines);
    assert_eq!(names(&["plain"], &[]), set(&["plain"]));
    assert_eq!(names(&["g6", "g6.example"], &[]), set(&["queue1-st-2"]));
    assert_eq!(names(&["n1", "n1.cluster.example"], &[]), set(&["n1.cluster.example"]));
    assert_eq!(names(&["x"], &["192.168.0.1", "10.1.0.2"]), set(&["far-2"]));
    assert_eq!(names(&["two"], &[]), set(&["a", "b"]));
    assert_eq!(names(&["g1"], &[]), set(&[]));
}

#[test]
fn more_than_one_node_is_refused_by_name() {
    let host = host(&["h"], &[]);
    let one = |names: &[&str], named: &[&str]| one(set(names), &host, &set(named));
    assert_eq!(one(&[], &["a"]).unwrap(), None);
    assert_eq!(one(&["a"], &[]).unwrap(), Some("a".into()));
    assert_eq!(one(&["a", "b"], &["b", "c"]).unwrap(), Some("b".into()), "the one the settings are about");
    assert_eq!(one(&["a", "h"], &[]).unwrap(), Some("h".into()), "the one of the host's name");
    let error = one(&["a", "b"], &["a", "b"]).unwrap_err();
    assert_eq!(error.to_string(), "this host: is more than one node of Slurm: a, b");
}

#[test]
fn addresses_of_the_host_are_its_own() {
    let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.7\n        /32 host LOCAL\n\
                     |-- 10.0.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
    let inet6 = "00000000000000000000000000000001 01 80 10 80 lo\nfe80000000000000021122fffe334455 02 40 20 80 eth0\n";
    assert_eq!(addresses(trie, inet6), set(&["10.0.0.7", "fe80::211:22ff:fe33:4455"]));
}

#[test]
fn a_slurm_conf_is_found_below_the_root() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path()).unwrap();
    assert_eq!(found(&root).unwrap(), None);
    let mut last = None;
    for place in CACHES.iter().rev().chain(PLACES.iter().rev()) {
        let path = root.path(place).join("slurm.conf");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(found(&root).unwrap(), Some(path.clone()), "{place} goes before {last:?}");
        last = Some(path);
    }
    // A variable of whoever calls names a path of the node, whatever this host has there.
    assert_eq!(named(&root, "/etc/slurm/slurm.conf".into()), root.path("/etc/slurm/slurm.conf"));
    fs::write(root.path("/etc/hostname"), "").unwrap();
    assert_eq!(named(&root, "/etc/hostname".into()), root.path("/etc/hostname"));
    assert_eq!(named(&root, "/nowhere/slurm.conf".into()), Path::new("/nowhere/slurm.conf"));
}
