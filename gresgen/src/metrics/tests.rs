use super::*;
use device_map::DeviceMap;

const MAP: &str = "gresgen-devices 1\nnode n1\nboot b\ngres-conf d\ngpu 0 GPU-b\ngpu 1 GPU-a\n\
    columns index type uuid parent gi ci files\n0 1g.5gb MIG-x GPU-a 7 0 /dev/nvidia0=195:0,/dev/c66=238:66\n\
    1 1g.5gb MIG-y GPU-a 8 0 /dev/nvidia0=195:0,/dev/c75=238:75\n2 a100 GPU-b GPU-b - - /dev/nvidia1=195:1\nend 3\n";

fn facts() -> Facts {
    Facts {
        map: Some(MAP.parse::<DeviceMap>().unwrap()),
        occupancy: Some(Occupancy {
            holders: vec![(0, (5, "ada".into())), (2, (6, "ada".into()))],
            ..Occupancy::default()
        }),
        slurmctld: Some(true),
        layout: Some("day".into()),
        pending: vec![("finish_interrupted_apply", false), ("restart_slurmd", true)],
        times: vec![("map_written", 1_700_000_000)],
        ..Facts::default()
    }
}

#[test]
fn a_node_is_told_without_users_and_jobs() {
    insta::assert_snapshot!(
        write(&facts(), None, Who::default()).replace(env!("CARGO_PKG_VERSION"), "VERSION")
    );
}

#[test]
fn users_and_jobs_are_told_where_asked_for() {
    let both = write(&facts(), None, Who { users: true, jobs: true });
    let plain = write(&facts(), None, Who::default());
    let more: Vec<&str> = both.lines().filter(|line| !plain.contains(line)).collect();
    insta::assert_snapshot!(more.join("\n"));
}

#[test]
fn nothing_is_said_where_nothing_is_known() {
    let text = write(
        &Facts { slurmctld: Some(false), occupancy: None, ..facts() },
        None,
        Who { users: true, jobs: true },
    );
    assert!(!text.contains("busy{") && !text.contains("job_info{"), "{text}");
    assert!(text.contains("gresgen_slurmctld_up 0\n"), "{text}");
}

#[test]
fn a_job_whose_devices_are_not_known_may_have_any() {
    let occupancy = Occupancy { any: true, ..Occupancy::default() };
    let text = write(&Facts { occupancy: Some(occupancy), ..facts() }, None, Who::default());
    assert!(text.contains("gresgen_devices_busy{type=\"1g.5gb\"} 2\n"), "{text}");
}
