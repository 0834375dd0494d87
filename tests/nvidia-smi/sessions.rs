//! Sessions that were typed on real boards and published, typed again here. What the boards answered is quoted row by
//! row; addresses and UUIDs are those of the simulated machine.

use crate::smi::{Smi, each, newest};

/// Whether a release knows a profile: those whose memory is doubled came with R510.
fn known(smi: &Smi, profile: &str) -> bool {
    smi.release >= 510 || profile != "1g.20gb"
}

/// The line of a GPU instance that was made.
fn made(id: u32, profile: &str, profile_id: u32) -> String {
    format!(
        "Successfully created GPU instance ID {id:2} on GPU  0 using profile MIG {profile} (ID {profile_id:2})"
    )
}

/// The line of a compute instance that was made.
fn made_compute(instance: u32, id: u32, profile: &str, profile_id: u32) -> String {
    format!(
        "Successfully created compute instance ID {id:2} on GPU  0 GPU instance ID {instance:2} using profile MIG \
         {profile} (ID {profile_id:2})"
    )
}

/// A public log of an H100 80GB HBM3 (driver not named; from R525 on): the life of seven slices.
#[test]
fn seven_slices_live_as_on_an_h100() {
    const PROFILES: [(&str, &str, &str); 7] = [
        ("1g.10gb", "19 7/7 9.75 No 16 1 0 / 1 1 0", "19 Placements: {0,1,2,3,4,5,6}:1"),
        ("1g.10gb+me", "20 1/1 9.75 No 16 1 0 / 1 1 1", "20 Placements: {0,1,2,3,4,5,6}:1"),
        ("1g.20gb", "15 4/4 19.62 No 26 1 0 / 1 1 0", "15 Placements: {0,2,4,6}:2"),
        ("2g.20gb", "14 3/3 19.62 No 32 2 0 / 2 2 0", "14 Placements: {0,2,4}:2"),
        ("3g.40gb", "9 2/2 39.50 No 60 3 0 / 3 3 0", " 9 Placements: {0,4}:4"),
        ("4g.40gb", "5 1/1 39.50 No 64 4 0 / 4 4 0", " 5 Placement : {0}:4"),
        ("7g.80gb", "0 1/1 79.25 No 132 7 0 / 8 7 1", " 0 Placement : {0}:8"),
    ];
    const IN_ORDER: [u32; 7] = [13, 11, 12, 7, 8, 9, 10];
    for smi in each("h100-80gb-sxm") {
        let profiles: Vec<_> = PROFILES.iter().filter(|p| known(&smi, p.0)).collect();
        let listed: Vec<String> = profiles.iter().map(|p| format!("0 MIG {} {}", p.0, p.1)).collect();
        if smi.release >= 510 {
            // With MIG off, too, as on an H100 under 580.159.04.
            assert_eq!(smi.rows("mig -i 0 -lgip"), listed, "{}", smi.release);
        }
        let enabled = smi.ok("-i 0 -mig 1");
        assert_eq!(enabled, "Enabled MIG Mode for GPU 00000000:03:00.0\nAll done.\n");
        assert_eq!(smi.rows("mig -i 0 -lgip"), listed, "{}", smi.release);
        let placements: Vec<String> = profiles.iter().map(|p| format!("GPU  0 Profile ID {}", p.2)).collect();
        assert_eq!(smi.lines("mig -i 0 -lgipp"), placements, "{}", smi.release);

        let both = |id| [made(id, "1g.10gb", 19), made_compute(id, 0, "1g.10gb", 0)];
        let expected: Vec<String> = IN_ORDER.into_iter().flat_map(both).collect();
        let created = smi.lines("mig -i 0 -cgi 19,19,19,19,19,19,19 -C");
        assert_eq!(created, expected, "{}", smi.release);

        let instances: Vec<String> =
            (7..=13).map(|id| format!("0 MIG 1g.10gb 19 {id} {}:1", id - 7)).collect();
        assert_eq!(smi.rows("mig -i 0 -lgi"), instances);
        // The first column is the GPU of the compute instance, 0 on every row.
        let compute: Vec<String> = (7..=13).map(|id| format!("0 {id} MIG 1g.10gb 0 0 0:1")).collect();
        assert_eq!(smi.rows("mig -i 0 -lci"), compute);

        let destroyed =
            |id| format!("Successfully destroyed compute instance ID  0 from GPU  0 GPU instance ID {id:2}");
        assert_eq!(smi.lines("mig -i 0 -dci"), (7..=13).map(destroyed).collect::<Vec<_>>());
        let destroyed = |id| format!("Successfully destroyed GPU instance ID {id:2} from GPU  0");
        assert_eq!(smi.lines("mig -i 0 -dgi"), (7..=13).map(destroyed).collect::<Vec<_>>());
        let disabled = smi.ok("-i 0 -mig 0");
        assert_eq!(disabled, "Disabled MIG Mode for GPU 00000000:03:00.0\nAll done.\n");
    }
}

/// A public log of an RTX PRO 6000 Blackwell Server Edition: slices of one size and of two.
#[test]
fn slices_of_two_sizes_live_as_on_an_rtx_pro_6000() {
    let Some(smi) = newest("rtx-pro-6000-blackwell-96gb") else { return };
    smi.ok("-i 0 -mig 1");
    // This release asks for no profile with +gfx, +me.all or -me. The whole GPU has 95.12 GiB in this log and 95.00 in
    // another, whose figure the simulator has.
    let profiles = [
        "0 MIG 1g.24gb 14 4/4 23.62 No 46 1 1 / 1 1 0",
        "0 MIG 1g.24gb+me 21 1/1 23.62 No 46 1 1 / 1 1 1",
        "0 MIG 2g.48gb 5 2/2 47.38 No 94 2 2 / 2 2 0",
        "0 MIG 4g.96gb 0 1/1 95.00 No 188 4 4 / 4 4 1",
    ];
    assert_eq!(smi.rows("mig -i 0 -lgip"), profiles);
    let placements = [
        "GPU  0 Profile ID 14 Placements: {0,3,6,9}:3",
        "GPU  0 Profile ID 21 Placements: {0,3,6,9}:3",
        "GPU  0 Profile ID  5 Placements: {0,6}:6",
        "GPU  0 Profile ID  0 Placement : {0}:12",
    ];
    assert_eq!(smi.lines("mig -i 0 -lgipp"), placements);

    let both =
        |id, profile, profile_id, part| [made(id, profile, profile_id), made_compute(id, 0, profile, part)];
    let quarter = |id| both(id, "1g.24gb", 14, 0);
    let created = smi.lines("mig -i 0 -cgi 1g.24gb,1g.24gb,1g.24gb,1g.24gb -C");
    assert_eq!(created, [3, 4, 5, 6].map(quarter).concat());
    let instances = [3, 4, 5, 6].map(|id| format!("0 MIG 1g.24gb 14 {id} {}:3", (id - 3) * 3));
    assert_eq!(smi.rows("mig -i 0 -lgi"), instances);
    assert_eq!(smi.rows("mig -i 0 -lci"), [3, 4, 5, 6].map(|id| format!("0 {id} MIG 1g.24gb 0 0 0:1")));
    let refused = smi.run("mig -i 0 -dgi");
    let said = "Unable to destroy GPU instance ID  3 from GPU  0: In use by another client\n\
                Failed to destroy GPU instances: In use by another client\n";
    assert_eq!(refused.stdout, said);
    smi.ok("mig -i 0 -dci");
    smi.ok("mig -i 0 -dgi");

    let created = smi.lines("mig -i 0 -cgi 2g.48gb,1g.24gb,1g.24gb -C");
    assert_eq!(created, [both(1, "2g.48gb", 5, 1), quarter(5), quarter(6)].concat());
    let instances = ["0 MIG 1g.24gb 14 5 6:3", "0 MIG 1g.24gb 14 6 9:3", "0 MIG 2g.48gb 5 1 0:6"];
    assert_eq!(smi.rows("mig -i 0 -lgi"), instances);
}

/// Rows of `mig -lgip` of an A100-SXM4-40GB, with the free and total instances left out.
fn a100(smi: &Smi, free: [&str; 7]) -> Vec<String> {
    const PROFILES: [(&str, &str, &str); 7] = [
        ("1g.5gb", "19", "4.75 No 14 0 0 / 1 0 0"),
        ("1g.5gb+me", "20", "4.75 No 14 1 0 / 1 1 1"),
        ("1g.10gb", "15", "9.75 No 14 1 0 / 1 0 0"),
        ("2g.10gb", "14", "9.75 No 28 1 0 / 2 0 0"),
        ("3g.20gb", "9", "19.62 No 42 2 0 / 3 0 0"),
        ("4g.20gb", "5", "19.62 No 56 2 0 / 4 0 0"),
        ("7g.40gb", "0", "39.38 No 98 5 0 / 7 1 1"),
    ];
    let row = |((name, id, figures), free): (&(&str, &str, &str), &str)| {
        format!("0 MIG {name} {id} {free} {figures}")
    };
    let rows = PROFILES.iter().zip(free).filter(|((_, id, _), _)| smi.release >= 510 || *id != "15");
    rows.map(row).collect()
}

/// A public log of an A100-SXM4-40GB under driver 580.126.09 (17 February 2026), a board on which instances are numbered
/// the other way round: three instances, two of them in parts.
#[test]
fn parts_of_instances_live_as_on_a_mirrored_a100() {
    for smi in each("a100-40gb:1:mirrored") {
        smi.ok("-i 0 -mig 1");
        assert_eq!(smi.rows("mig -i 0 -lgip"), a100(&smi, ["7/7", "1/1", "4/4", "3/3", "2/2", "1/1", "1/1"]));
        for (name, made, free) in [
            ("4g.20gb", made(2, "4g.20gb", 5), ["3/7", "1/1", "2/4", "1/3", "1/2", "0/1", "0/1"]),
            ("2g.10gb", made(3, "2g.10gb", 14), ["1/7", "1/1", "1/4", "0/3", "0/2", "0/1", "0/1"]),
            ("1g.5gb", made(9, "1g.5gb", 19), ["0/7", "0/1", "0/4", "0/3", "0/2", "0/1", "0/1"]),
        ] {
            assert_eq!(smi.lines(&format!("mig -i 0 -cgi {name}")), [made]);
            assert_eq!(smi.rows("mig -i 0 -lgip"), a100(&smi, free), "{} after {name}", smi.release);
        }
        let instances = ["0 MIG 1g.5gb 19 9 6:1", "0 MIG 2g.10gb 14 3 4:2", "0 MIG 4g.20gb 5 2 0:4"];
        assert_eq!(smi.rows("mig -i 0 -lgi"), instances);

        let compute = |gi: u32| smi.rows(&format!("mig -i 0 -gi {gi} -lcip"));
        let four = |one: &str, two: &str, whole: &str| {
            [
                format!("0 2 MIG 1c.4g.20gb 0 {one} 14 2 0 0 / 4 0"),
                format!("0 2 MIG 2c.4g.20gb 1 {two} 28 2 0 0 / 4 0"),
                format!("0 2 MIG 4g.20gb 3* {whole} 56 2 0 0 / 4 0"),
            ]
        };
        assert_eq!(compute(2), four("4/4", "2/2", "1/1"));
        assert_eq!(smi.lines("mig -i 0 -gi 2 -cci"), [made_compute(2, 0, "4g.20gb", 3)]);
        assert_eq!(compute(2), four("0/4", "0/2", "0/1"));

        let two = |one: &str, whole: &str| {
            [
                format!("0 3 MIG 1c.2g.10gb 0 {one} 14 1 0 0 / 2 0"),
                format!("0 3 MIG 2g.10gb 1* {whole} 28 1 0 0 / 2 0"),
            ]
        };
        assert_eq!(compute(3), two("2/2", "1/1"));
        assert_eq!(smi.lines("mig -i 0 -gi 3 -cci 1c.2g.10gb"), [made_compute(3, 0, "1c.2g.10gb", 0)]);
        assert_eq!(compute(3), two("1/2", "0/1"));
        // The log says ID 0 again where its own list has 1 afterwards.
        assert_eq!(smi.lines("mig -i 0 -gi 3 -cci 1c.2g.10gb"), [made_compute(3, 1, "1c.2g.10gb", 0)]);
        assert_eq!(compute(3), two("0/2", "0/1"));
        assert_eq!(smi.lines("mig -i 0 -gi 9 -cci 1g.5gb"), [made_compute(9, 0, "1g.5gb", 0)]);
        assert_eq!(compute(9), ["0 9 MIG 1g.5gb 0* 0/1 14 0 0 0 / 1 0"]);

        let listed = [
            "0 9 MIG 1g.5gb 0 0 0:1",
            "0 3 MIG 1c.2g.10gb 0 0 0:1",
            "0 3 MIG 1c.2g.10gb 0 1 1:1",
            "0 2 MIG 4g.20gb 3 0 0:4",
        ];
        assert_eq!(smi.rows("mig -i 0 -lci"), listed);
        let devices = smi.ok("-L");
        let named: Vec<String> = devices
            .lines()
            .skip(1)
            .map(|l| l.split_whitespace().take(4).collect::<Vec<_>>().join(" "))
            .collect();
        let expected = [
            "MIG 4g.20gb Device 0:",
            "MIG 1c.2g.10gb Device 1:",
            "MIG 1c.2g.10gb Device 2:",
            "MIG 1g.5gb Device 3:",
        ];
        assert_eq!(named, expected);
        // The capabilities that the log lists in /dev/nvidia-caps.
        let mut caps: Vec<u32> = std::fs::read_dir(smi.node.path("dev/nvidia-caps"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| name.strip_prefix("nvidia-cap").unwrap().parse().unwrap())
            .collect();
        caps.sort_unstable();
        assert_eq!(caps, [0, 1, 2, 21, 22, 30, 31, 32, 84, 85]);
    }
}
