//! Lines of gres.conf that slurmd reads, and those with which it does not start.

use std::fs;

use gresgen::slurm::gres_line::defect;
use gresgen::slurm::lines::lines;
use proptest::prelude::*;

use crate::judge::Judge;

const SLURM_CONF: &str = "ClusterName=judge\nSlurmctldHost=localhost\nAuthType=auth/none\nCredType=cred/none\n\
                          GresTypes=gpu,nic\nSlurmdParameters=config_overrides\nNodeName=n[1-2] CPUs=1\n";

/// Lines as people write them, in any order of their words. No file is named, as slurmd ends where one is missing.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => Just("NodeName=n2"),
        4 => Just("Name=nic"),
        2 => Just("AutoDetect=off"),
        2 => Just("Count=2"),
        2 => Just("count = 1"),
        2 => Just("Type=a"),
        1 => Just("Cores=0"),
        1 => Just("CPUs=0"),
        1 => Just("Links=0,0"),
        1 => Just("Flags=CountOnly"),
        1 => Just("Gres=nic:1"),
        1 => Just("File"),
        1 => Just("# Name"),
    ];
    proptest::collection::vec(word, 0..5).prop_map(|words| words.join(" ") + "\n")
}

#[test]
fn slurmd_does_not_start_with_lines_that_are_not_read() {
    for judge in Judge::selected() {
        let host = judge.host();
        let folder = host.conf().parent().unwrap().to_owned();
        fs::create_dir_all(&folder).unwrap();
        fs::write(host.conf(), SLURM_CONF).unwrap();
        let starts = |text: &str| {
            fs::write(folder.join("gres.conf"), text).unwrap();
            // The lines are about the other node, so that only their form is judged.
            judge.gres(&host, "n1")
        };
        let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
        proptest!(config, |(text in text())| {
            let answer = starts(&text);
            let why = lines(text.as_bytes()).iter().find_map(defect);
            prop_assert_eq!(answer.success, why.is_none(), "{}: {}: {:?}: {}", judge.release, text, why, answer.text);
        });
    }
}
