//! What is shown without a change: the table of GPUs and MIG devices, processes, details as text and as XML, topology.

use std::process::Command;

use crate::smi::{Sleeper, Smi, each, rows, uuids};

/// A GPU with a 3g and two 1g, and one without MIG.
fn cut(smi: &Smi) {
    smi.ok("-i 0 -mig 1");
    smi.ok("mig -cgi 9,19,19 -C");
}

/// The table that is printed without arguments, from a line that has the words on.
fn table(smi: &Smi, title: &str) -> Vec<String> {
    let text = smi.ok("");
    let (_, from) = text.split_once(title).unwrap_or_else(|| panic!("{title}: not in\n{text}"));
    // The next table begins after an empty line, the last one ends with the text.
    let end = from.lines().take_while(|line| !line.trim().is_empty());
    rows(&end.collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_table_shows_gpus_and_mig_devices() {
    for smi in each("a100-40gb:2") {
        cut(&smi);
        let gpus = smi.ok("");
        for part in ["00000000:03:00.0", "00000000:0A:00.0", "40960MiB", "Enabled", "Disabled"] {
            assert!(gpus.contains(part), "{part}: not in\n{gpus}");
        }
        // GPU, instances and index; memory and BAR1; multiprocessors and errors; engines.
        let devices = table(&smi, "MIG devices:");
        // Widths of columns differ, and so do the ends of rows.
        let row = |row: &String| row.replace(" 0MiB / ", " ").trim_end_matches([' ', '|']).to_owned();
        let devices: Vec<_> = devices.iter().map(row).collect();
        let expected = [
            "0 2 0 0 | 20096MiB | 42 0 | 3 0 2 0 0 / | 32767MiB",
            "0 7 0 1 | 4864MiB | 14 0 | 1 0 0 0 0 / | 8191MiB",
            "0 8 0 2 | 4864MiB | 14 0 | 1 0 0 0 0 / | 8191MiB",
        ];
        assert_eq!(devices, expected, "{}", smi.release);
    }
}

#[test]
fn processes_on_gpus_and_slices_are_listed() {
    for smi in each("a100-40gb:2") {
        cut(&smi);
        assert_eq!(table(&smi, "Processes:"), ["No running processes found"]);
        let list = smi.ok("-L");
        let slice = uuids(&list, "MIG-")[0].clone();
        let gpu = uuids(&list, "GPU-")[1].clone();
        let sleepers = [(); 3].map(|()| Sleeper::start());
        let [first, second, third] = sleepers.each_ref().map(Sleeper::pid);
        let uses = format!("{slice} {first}\n{gpu} {second} graphics\n{gpu} {third} mps\n");
        smi.node.write("var/lib/nvml-sim/processes", &uses);
        // No line parts the rows of this table.
        let listed = table(&smi, "Processes:").join("\n").replace(" / ", "\n");
        let queried = smi.ok("--query-compute-apps=pid,name --format=csv,noheader");
        drop(sleepers);
        let rows = [
            format!("0 2 0 {first} C sleep N/A"),
            format!("1 N/A N/A {second} G sleep N/A"),
            format!("1 N/A N/A {third} M+C sleep N/A"),
        ];
        let mut listed: Vec<&str> = listed.lines().collect();
        listed.sort_unstable_by_key(|row| rows.iter().position(|expected| expected == row));
        assert_eq!(listed, rows, "{}", smi.release);
        assert_eq!(queried, format!("{first}, sleep\n{third}, sleep\n"), "{}", smi.release);
    }
}

#[test]
fn details_come_as_text_and_as_xml() {
    for smi in each("a100-40gb:2") {
        cut(&smi);
        let text = smi.ok("-q");
        for field in ["Attached GPUs", "GPU UUID", "Minor Number", "Persistence Mode", "Bus Id"] {
            assert!(text.contains(field), "{field}: not in\n{text}");
        }
        // What a library lacks is called so; what a GPU has no answer to is N/A.
        for error in ["Function Not Found", "Unknown Error", "ERR!"] {
            assert!(!text.contains(error), "{error}: in\n{text}");
        }
        let xml = smi.ok("-q -x");
        let count = |tag: &str| xml.matches(&format!("<{tag}>")).count();
        assert_eq!((count("mig_device"), count("gpu_instance_id"), count("product_name")), (3, 3, 2));
        assert_eq!(xml.matches("<current_mig>Enabled</current_mig>").count(), 1);
        for uuid in uuids(&smi.ok("-L"), "GPU-") {
            assert!(xml.contains(&format!("<uuid>{uuid}</uuid>")), "{uuid}");
        }
        smi.node.write("q.xml", &xml);
        well_formed(&smi.node.path("q.xml"));
    }
}

/// Python's parser, which knows no DTD, reads it.
fn well_formed(path: &std::path::Path) {
    let code = "import sys, xml.etree.ElementTree as tree; tree.parse(sys.argv[1])";
    let status = Command::new("python3").args(["-c", code]).arg(path).status().unwrap();
    assert!(status.success());
}

#[test]
fn the_topology_is_that_of_sysfs() {
    for smi in each("a100-40gb:2") {
        let matrix = smi.ok("topo -m");
        let row = |gpu: &str| matrix.lines().find(|l| l.starts_with(&format!("{gpu}\t"))).unwrap().to_owned();
        let cpus = smi.node.read("sys/bus/pci/devices/0000:03:00.0/local_cpulist");
        for (gpu, paths) in [("GPU0", ["X", "PHB"]), ("GPU1", ["PHB", "X"])] {
            let row = row(gpu);
            let fields: Vec<&str> = row.split('\t').map(str::trim).filter(|f| !f.is_empty()).collect();
            assert_eq!(fields[1..4], [paths[0], paths[1], cpus.trim()], "{}: {matrix}", smi.release);
        }
    }
}

/// By index, UUID and PCI address in any of its forms.
#[test]
fn a_gpu_is_named_as_users_name_it() {
    for smi in each("a100-40gb:2") {
        let uuid = uuids(&smi.ok("-L"), "GPU-")[1].clone();
        for name in ["1", &uuid, "00000000:0A:00.0", "0000:0a:00.0", "0a:00.0"] {
            let index = smi.ok(&format!("-i {name} --query-gpu=index --format=csv,noheader"));
            assert_eq!(index, "1\n", "{}: {name}", smi.release);
        }
        assert_eq!(smi.run("-i 0000:0b:00.0 -q").code, 6, "{}", smi.release);
    }
}
