use super::*;

fn machine(spec: &str) -> Machine {
    Machine::new(&spec.parse().unwrap(), None)
}

fn nobody() -> Clients {
    Clients::default()
}

/// This process uses the object of that UUID.
fn this_process_on(uuid: &str) -> Clients {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{uuid} {}\n", std::process::id())).unwrap();
    Clients::read(file.path()).unwrap()
}

fn modes(machine: &Machine) -> (bool, bool) {
    (machine.gpus[0].current, machine.gpus[0].pending)
}

/// On, and one 1g with its compute instance: gives their ids.
fn with_instance(machine: &mut Machine) -> (u32, u32) {
    machine.set_mode(0, true, &nobody()).unwrap().unwrap();
    let profile = machine.gpus[0].board.rows[0].id;
    let id = machine.create_instance(0, profile, None, &nobody()).unwrap();
    (id, machine.create_compute(0, id, 0, None).unwrap())
}

#[test]
fn an_idle_gpu_switches_at_once_on_every_architecture() {
    for spec in ["a100-40gb", "h100-80gb-sxm", "rtx-pro-6000-blackwell-96gb"] {
        let mut machine = machine(spec);
        assert_eq!(machine.set_mode(0, true, &nobody()), Ok(Ok(())), "{spec}");
        assert_eq!(modes(&machine), (true, true));
    }
}

#[test]
fn a_held_ampere_gpu_waits_for_its_reset() {
    let mut machine = machine("a100-40gb:held");
    assert_eq!(machine.set_mode(0, true, &nobody()), Ok(Err(Code::IN_USE)));
    assert_eq!(modes(&machine), (false, true));
    assert_eq!(machine.create_instance(0, 19, None, &nobody()), Err(Code::NOT_SUPPORTED));
    machine.reset(0, &nobody()).unwrap();
    assert_eq!(modes(&machine), (true, true));
    assert_eq!(machine.set_mode(0, false, &nobody()), Ok(Err(Code::IN_USE)));
    assert_eq!(
        machine.set_mode(0, true, &nobody()),
        Ok(Ok(())),
        "taking a pending change back needs no reset"
    );
    assert_eq!(modes(&machine), (true, true));
}

#[test]
fn a_process_on_the_gpu_keeps_the_mode_and_the_reset() {
    for (spec, pending) in [("a30-24gb", true), ("h200-141gb", false)] {
        let mut machine = machine(spec);
        let clients = this_process_on(&machine.gpus[0].uuid());
        assert_eq!(machine.set_mode(0, true, &clients), Ok(Err(Code::IN_USE)));
        assert_eq!(modes(&machine), (false, pending), "{spec}");
        assert_eq!(machine.reset(0, &clients), Err(Code::IN_USE));
    }
}

#[test]
fn instances_keep_the_mode_on() {
    for spec in ["a100-40gb", "b200-180gb"] {
        let mut machine = machine(spec);
        with_instance(&mut machine);
        assert_eq!(machine.set_mode(0, false, &nobody()), Ok(Err(Code::IN_USE)));
        assert!(machine.gpus[0].current);
        assert_eq!(machine.gpus[0].instances.len(), 1);
    }
}

#[test]
fn destruction_goes_from_the_inside_out_and_past_no_process() {
    let mut machine = machine("a100-40gb");
    let (id, ci) = with_instance(&mut machine);
    let clients = this_process_on(&machine.gpus[0].mig_devices().next().unwrap().uuid());
    assert_eq!(machine.destroy_instance(0, id), Err(Code::IN_USE));
    assert_eq!(machine.destroy_compute(0, id, ci, &clients), Err(Code::IN_USE));
    assert_eq!(machine.destroy_compute(0, id, ci, &nobody()), Ok(()));
    assert_eq!(machine.destroy_instance(0, id), Ok(()));
    assert_eq!(machine.destroy_instance(0, id), Err(Code::INVALID_ARGUMENT));
}

#[test]
fn what_create_refuses() {
    let mut off = machine("h100-80gb-sxm");
    assert_eq!(off.create_instance(0, 19, None, &nobody()), Err(Code::NOT_SUPPORTED));
    let mut machine = machine("h100-80gb-sxm");
    machine.set_mode(0, true, &nobody()).unwrap().unwrap();
    let mut create = |profile, at| machine.create_instance(0, profile, at, &nobody());
    assert_eq!(create(1, None), Err(Code::INVALID_ARGUMENT), "1 is the constant of 2g, not an id");
    assert_eq!(create(9, Some((2, 4))), Err(Code::INVALID_ARGUMENT), "3g starts at 0 or 4");
    assert_eq!(create(9, Some((4, 3))), Err(Code::INVALID_ARGUMENT), "3g has the size 4");
    assert_eq!(create(9, Some((4, 4))), Ok(2));
    assert_eq!(create(9, Some((4, 4))), Err(Code::INSUFFICIENT_RESOURCES));
    assert_eq!(create(0, None), Err(Code::INSUFFICIENT_RESOURCES));
}

#[test]
fn the_first_instance_is_refused_while_a_process_computes_on_the_whole_gpu() {
    let mut machine = machine("a100-40gb");
    machine.set_mode(0, true, &nobody()).unwrap().unwrap();
    let clients = this_process_on(&machine.gpus[0].uuid());
    assert_eq!(machine.create_instance(0, 19, None, &clients), Err(Code::IN_USE));
}

#[test]
fn a_vgpu_guest_makes_nothing() {
    let mut machine = machine("a100-40gb:vgpu");
    assert_eq!(machine.set_mode(0, true, &nobody()), Err(Code::NOT_SUPPORTED));
    assert_eq!(machine.create_instance(0, 19, None, &nobody()), Err(Code::NOT_SUPPORTED));
}

#[test]
fn a_reset_ends_the_instances() {
    let mut machine = machine("a100-40gb:2");
    with_instance(&mut machine);
    machine.reset(0, &nobody()).unwrap();
    assert!(machine.gpus[0].instances.is_empty());
    assert_eq!(modes(&machine), (true, true));
}

#[test]
fn a_reboot_ends_instances_everywhere_and_mig_mode_from_hopper_on() {
    let mut machine = machine("a100-40gb,h100-80gb-sxm");
    for gpu in [0, 1] {
        machine.set_mode(gpu, true, &nobody()).unwrap().unwrap();
        machine.create_instance(gpu, 19, None, &nobody()).unwrap();
    }
    machine.reboot();
    assert!(machine.gpus.iter().all(|g| g.instances.is_empty()));
    let modes: Vec<_> = machine.gpus.iter().map(|g| (g.current, g.pending)).collect();
    assert_eq!(modes, [(true, true), (false, false)]);
}

#[test]
fn a_reboot_brings_a_pending_mode_into_force() {
    let mut machine = machine("a100-40gb:held");
    assert_eq!(machine.set_mode(0, true, &nobody()), Ok(Err(Code::IN_USE)));
    machine.reboot();
    assert_eq!(modes(&machine), (true, true));
}

/// nvml.h on `nvmlDeviceSetMigMode`: in a virtual machine the GPU may have to be reset from outside.
#[test]
fn a_passed_through_ampere_takes_its_mode_with_a_reboot() {
    let mut ampere = machine("a100-40gb:1:passthrough");
    assert_eq!(ampere.set_mode(0, true, &nobody()), Ok(Err(Code::RESET_REQUIRED)));
    assert_eq!(modes(&ampere), (false, true));
    assert_eq!(ampere.reset(0, &nobody()), Err(Code::NOT_SUPPORTED));
    ampere.reboot();
    assert_eq!(modes(&ampere), (true, true));
    let mut hopper = machine("h100-80gb-sxm:1:passthrough");
    assert_eq!(hopper.set_mode(0, true, &nobody()), Ok(Ok(())));
}
