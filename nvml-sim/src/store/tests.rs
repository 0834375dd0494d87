use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::code::Code;

fn spec(text: &str) -> Spec {
    text.parse().unwrap()
}

fn root() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Switches MIG on and makes one 1g.
fn make_instance(store: &Store) -> u32 {
    let made = store.change(|s| {
        let (machine, clients) = (Arc::make_mut(&mut s.machine), &s.clients);
        machine.set_mode(0, true, clients)??;
        machine.create_instance(0, 19, None, clients)
    });
    made.unwrap().unwrap()
}

#[test]
fn a_machine_outlives_the_store_that_made_it() {
    let root = root();
    let id = make_instance(&Store::open(root.path(), Some(&spec("a100-40gb"))).unwrap());
    let again = Store::open(root.path(), None).unwrap().read().unwrap();
    assert_eq!(again.machine.gpus[0].instances[0].id, id);
    assert_eq!(again.machine.revision, 1);
}

#[test]
fn a_refused_change_leaves_everything_as_it_was() {
    let root = root();
    let store = Store::open(root.path(), Some(&spec("a100-40gb"))).unwrap();
    make_instance(&store);
    let before = fs::read(store.state_file()).unwrap();
    let refused = store.change(|s| {
        Arc::make_mut(&mut s.machine).reboot();
        Err::<(), _>(Code::IN_USE)
    });
    assert_eq!(refused.unwrap(), Err(Code::IN_USE));
    assert_eq!(fs::read(store.state_file()).unwrap(), before);
}

#[test]
fn errors_name_the_object_and_the_way_out() {
    let root = root();
    let at = |name: &str| root.path().join(name);
    let text = |error: StoreError| error.to_string().replace(root.path().to_str().unwrap(), "ROOT");
    let open = |name: &str, wanted: Option<&str>| {
        let wanted = wanted.map(spec);
        text(Store::open(&at(name), wanted.as_ref()).unwrap_err())
    };
    let mut errors = vec![open("none", None)];
    assert!(!at("none").exists());

    Store::open(&at("other"), Some(&spec("a100-40gb:2"))).unwrap();
    errors.push(open("other", Some("a100-40gb:1")));

    let state = |name: &str| at(name).join(DIRECTORY).join("state.json");
    for (name, content) in [("half", "{\"format\": 1, \"spec\": \"a100"), ("empty", ""), ("alien", "{}")] {
        Store::open(&at(name), Some(&spec("a100-40gb"))).unwrap();
        fs::write(state(name), content).unwrap();
        errors.push(open(name, Some("a100-40gb")));
        assert_eq!(fs::read_to_string(state(name)).unwrap(), content, "a damaged state stays for its owner");
    }

    let store = Store::open(&at("processes"), Some(&spec("a100-40gb"))).unwrap();
    fs::write(store.processes_file(), "MIG-x\n").unwrap();
    errors.push(open("processes", None));

    fs::write(at("file"), "").unwrap();
    errors.push(open("file/below", Some("a100-40gb")));
    insta::assert_snapshot!(errors.join("\n"));
}

/// A process that dies right after the rename leaves the tree behind; the next one to look mends it.
#[test]
fn a_tree_that_is_behind_the_state_is_mended_by_the_next_reader() {
    let root = root();
    let store = Store::open(root.path(), Some(&spec("a100-40gb"))).unwrap();
    let id = make_instance(&store);
    let access = root.path().join(format!("proc/driver/nvidia/capabilities/gpu0/mig/gi{id}/access"));
    assert!(access.exists());

    let mut machine = Machine::clone(&store.read().unwrap().machine);
    machine.gpus[0].instances.clear();
    machine.revision += 1;
    store.commit(&machine).unwrap();
    assert!(access.exists(), "as after a kill between commit and tree");
    Store::open(root.path(), None).unwrap();
    assert!(!access.exists());
}

#[test]
fn what_a_dead_writer_left_is_overwritten() {
    let root = root();
    let store = Store::open(root.path(), Some(&spec("a100-40gb"))).unwrap();
    fs::write(store.file("state.json.next"), "half of a st").unwrap();
    make_instance(&store);
    assert!(!store.file("state.json.next").exists());
    assert_eq!(store.read().unwrap().machine.gpus[0].instances.len(), 1);
}

#[test]
fn processes_are_read_with_the_machine() {
    let root = root();
    let store = Store::open(root.path(), Some(&spec("a100-40gb"))).unwrap();
    fs::write(store.processes_file(), format!("GPU-x {}\n", std::process::id())).unwrap();
    assert!(store.read().unwrap().clients.any_on("GPU-x"));
}

#[test]
fn the_state_can_be_read_by_everyone() {
    let root = root();
    let store = Store::open(root.path(), Some(&spec("a100-40gb"))).unwrap();
    for name in ["state.json", "lock", "projected"] {
        let mode = fs::metadata(store.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o444, 0o444, "{name}");
    }
}
