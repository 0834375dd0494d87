//! Many clients at once, some of them killed at the worst moment: the state stays whole.

use std::process::{Child, Stdio};
use std::time::Duration;

use nvml_sim::{Store, prepare};

use crate::{Bench, skipped};

const CLIENTS: usize = 6;

#[test]
fn concurrent_and_killed_clients_leave_a_consistent_machine_and_tree() {
    if skipped() {
        return;
    }
    let bench = Bench::new("a100-40gb:1,h100-80gb-sxm:1:mirrored");
    let store = prepare(&bench.root(), &bench.spec.parse().unwrap()).unwrap();
    for gpu in 0..2 {
        store
            .change(|s| std::sync::Arc::make_mut(&mut s.machine).set_mode(gpu, true, &s.clients))
            .unwrap()
            .unwrap()
            .unwrap();
    }
    let start = |number: usize| -> Child {
        let mut client = bench.python("client.py");
        client.args(["hammer", &number.to_string(), "12"]).stdout(Stdio::null());
        // Every other client dies: one half before a change, the other right after one.
        match number % 4 {
            1 => client.env("NVML_SIM_FAULTS", format!("kill@{}", 5 + number)),
            3 => client.env("NVML_SIM_FAULTS", format!("kill@{}!", 5 + number)),
            _ => &mut client,
        };
        client.spawn().unwrap()
    };
    let mut clients: Vec<Child> = (0..CLIENTS).map(start).collect();
    // One more dies wherever it happens to be.
    while store.read().unwrap().machine.revision < 30 && clients[0].try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    clients[0].kill().unwrap();
    let ends: Vec<Option<i32>> = clients.iter_mut().map(|client| client.wait().unwrap().code()).collect();
    let killed = ends.iter().filter(|end| end.is_none()).count();
    assert!(killed >= CLIENTS / 2, "{ends:?}");
    assert!(ends.iter().flatten().all(|&code| code == 0), "{ends:?}");

    // Reading checks the state against MIG's rules and brings the tree in step if the last writer died.
    let machine = Store::open(&bench.root(), None).unwrap().read().unwrap().machine;
    for gpu in &machine.gpus {
        let capabilities = bench.root().join(format!("proc/driver/nvidia/capabilities/gpu{}/mig", gpu.minor));
        let mut shown: Vec<String> = std::fs::read_dir(capabilities)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut held: Vec<String> = gpu.instances.iter().map(|i| format!("gi{}", i.id)).collect();
        shown.sort();
        held.sort();
        assert_eq!(shown, held);
    }
}
