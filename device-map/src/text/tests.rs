//! The text form: what is written is read, and nothing else.

use super::*;
use crate::NoDevice;
use proptest::prelude::*;

fn record() -> impl Strategy<Value = Record> {
    let file = ("/[a-z0-9/_.-]{1,20}", any::<u32>(), any::<u32>())
        .prop_map(|(path, major, minor)| DeviceFile { path: PathBuf::from(path), major, minor });
    (
        "[a-z0-9.+_-]{1,12}",
        "[0-9a-f-]{1,36}",
        "GPU-[0-9a-f-]{1,36}",
        proptest::option::of((any::<u32>(), any::<u32>())),
        proptest::collection::vec(file, 1..4),
    )
        .prop_map(|(gres_type, id, parent, instance, files)| {
            let uuid = if instance.is_some() { format!("MIG-{id}") } else { parent.clone() };
            Record { gres_type, uuid, parent, instance, files }
        })
}

fn map() -> impl Strategy<Value = DeviceMap> {
    let plugin = proptest::option::of("[0-9.]{1,9}( \\([0-9a-f]{1,9}\\))?");
    (proptest::collection::vec(record(), 0..12), plugin).prop_map(|(mut records, plugin)| {
        for (index, record) in records.iter_mut().enumerate() {
            record.uuid.push_str(&format!("-{index}"));
            if record.instance.is_none() {
                record.parent.clone_from(&record.uuid);
            }
        }
        let gpus = (0..).zip(records.iter().map(|record| record.parent.clone())).collect();
        DeviceMap { node: "n1".into(), boot: "b".into(), digest: "d".into(), gpus, plugin, records }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(map in map()) {
        prop_assert_eq!(map.to_string().parse::<DeviceMap>().unwrap(), map);
    }

    #[test]
    fn a_cut_map_is_never_believed(map in map(), cut in any::<prop::sample::Index>()) {
        let text = map.to_string();
        let cut = cut.index(text.len());
        prop_assert!(text[..cut].parse::<DeviceMap>().is_err());
    }

    #[test]
    fn no_text_panics(text in "(\\PC|\n| ){0,80}") {
        let _ = text.parse::<DeviceMap>();
    }
}

const MAP: &str = "gresgen-devices 1\nnode n1\nboot b\ngres-conf d\ngpu 1 GPU-a\ncolumns index type uuid parent gi ci files\n\
    0 1g.5gb MIG-a GPU-a 7 0 /dev/nvidia0=195:0,/dev/c66=238:66\n1 a100 GPU-b GPU-b - - /dev/nvidia1=195:1\nend 2\n";

#[test]
fn later_versions_may_add_headers_and_columns() {
    let newer = MAP
        .replace("boot b\n", "boot b\nweather fine\n")
        .replace("uuid parent", "uuid colour parent")
        .replace("MIG-a GPU-a", "MIG-a red GPU-a")
        .replace("GPU-b GPU-b", "GPU-b blue GPU-b");
    assert_eq!(newer.parse::<DeviceMap>(), MAP.parse::<DeviceMap>());
}

#[test]
fn every_defect_is_named_with_its_line() {
    let defects = [
        ("gresgen-devices 1", "gresgen-devices 2", "line 1: format \"2\" is not 1"),
        ("gresgen-devices 1", "nothing", "line 1: not a device map: no \"gresgen-devices\" line"),
        ("columns index", "columns position", "line 6: column \"index\" is missing"),
        ("gpu 1 GPU-a", "gpu 1 MIG-a", "line 5: \"1 MIG-a\" is not the index and UUID of a GPU"),
        ("gpu 1 GPU-a", "gpu x GPU-a", "line 5: \"x GPU-a\" is not the index and UUID of a GPU"),
        ("1 a100", "2 a100", "line 8: index \"2\" where 1 is due"),
        ("1 a100 GPU-b GPU-b - -", "1 a100 MIG-a GPU-b 7 1", "line 8: UUID MIG-a stands twice"),
        ("MIG-a", "GPU-a", "line 7: the UUID \"GPU-a\" is not MIG-..."),
        ("MIG-a", "MIG-", "line 7: the UUID \"MIG-\" is not MIG-..."),
        ("MIG-a", "MIG-a/../b", "line 7: the UUID \"MIG-a/../b\" is not MIG-..."),
        ("MIG-a", "MIG-\u{1b}[2J", "line 7: the UUID \"MIG-\\u{1b}[2J\" is not MIG-..."),
        ("GPU-b GPU-b", "MIG-b GPU-b", "line 8: the UUID \"MIG-b\" is not that of its GPU"),
        ("GPU-b GPU-b", "GPU-b MIG-b", "line 8: \"MIG-b\" is not GPU-..."),
        ("0 1g.5gb", "00 1g.5gb", "line 7: index \"00\" where 0 is due"),
        ("7 0 ", "7 x ", "line 7: ci \"x\" is not a number"),
        ("7 0 ", "+7 0 ", "line 7: gi \"+7\" is not a number"),
        ("=238:66", "=238:066", "line 7: \"/dev/c66=238:066\" is not a device such as /dev/nvidia0=195:0"),
        ("=238:66", "", "line 7: \"/dev/c66\" is not a device such as /dev/nvidia0=195:0"),
        (" 7 0 ", " 7 ", "line 7: 6 columns instead of 7"),
        ("end 2", "end 3", "line 9: end says \"3\", rows are 2"),
        ("end 2\n", "", "line 9: the end line is missing"),
        ("end 2\n", "end 2", "line 9: the line is cut off"),
        ("end 2\n", "end 2\nmore\n", "line 10: text after the end line"),
    ];
    for (good, bad, message) in defects {
        let error = MAP.replace(good, bad).parse::<DeviceMap>().unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_device_is_placed_by_the_index_of_its_gpu() {
    let map: DeviceMap = MAP.parse().unwrap();
    let places: Vec<_> = map.records.iter().map(|record| map.place(record)).collect();
    assert_eq!(places, [Some("1.7".into()), None]);
}

#[test]
fn records_that_are_no_devices_have_the_name_of_their_index() {
    let rows = |rows: &str, count: usize| {
        let text =
            format!("gresgen-devices 1\ncolumns index type uuid parent gi ci files\n{rows}end {count}\n");
        text.parse::<DeviceMap>().map(|map| map.records).map_err(|error| error.what)
    };
    let records = rows(
        "0 1g.5gb void-0 GPU-a - - /dev/n=195:0,/dev/v=120:0\n1 guard guard-1 GPU-a - - /dev/n=195:0,/dev/c=238:3\n\
         2 guard pad-2 GPU-a - - /dev/p=120:1\n3 a100 GPU-a GPU-a - - /dev/n=195:0\n",
        4,
    )
    .unwrap();
    let kinds: Vec<Option<NoDevice>> = records.iter().map(Record::no_device).collect();
    assert_eq!(kinds, [Some(NoDevice::Void), Some(NoDevice::Guard), Some(NoDevice::Pad), None]);
    for (row, what) in [
        ("0 t void-1 GPU-a - - /dev/n=195:0\n", "the UUID \"void-1\" is not that of its index"),
        ("0 t void-0 GPU-a 7 0 /dev/n=195:0\n", "the UUID \"void-0\" is not MIG-..."),
        ("0 t void- GPU-a - - /dev/n=195:0\n", "the UUID \"void-\" is not that of its GPU"),
        ("0 t void-00 GPU-a - - /dev/n=195:0\n", "the UUID \"void-00\" is not that of its index"),
    ] {
        assert_eq!(rows(row, 1).unwrap_err(), what);
    }
}
