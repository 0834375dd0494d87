use std::os::unix::fs::symlink;

use super::*;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn output(&self, kind: Kind, name: &str, body: &str) -> Output {
        let text = format!("{}\n{body}", Output::MARKER);
        Output { kind, path: self.path(name), text, unread: vec!["constrainkmemspace".into()] }
    }

    fn stage(&self, outputs: Vec<Output>, adopt: bool) -> Result<Staged, FileError> {
        stage(outputs, adopt, &self.path("state"))
    }

    fn write(&self, outputs: Vec<Output>, adopt: bool) -> Committed {
        self.stage(outputs, adopt).unwrap().commit().unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// An error's text without the directory.
    fn error(&self, outputs: Vec<Output>) -> String {
        let error = self.stage(outputs, false).unwrap_err().to_string();
        error.replace(&self.0.path().display().to_string(), "ROOT")
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn files_are_written_once_and_old_versions_kept() {
    let place = Place::new();
    let outputs = |body: &str| vec![place.output(Kind::GresConf, "etc/gres.conf", body)];
    let first = place.write(outputs("a\n"), false);
    assert_eq!((first.written.len(), first.backups.len()), (1, 0));
    assert_eq!(fs::metadata(place.path("etc/gres.conf")).unwrap().permissions().mode() & 0o777, 0o644);
    let staged = place.stage(outputs("a\n"), false).unwrap();
    assert_eq!((staged.comparison.changed().count(), staged.comparison.diff()), (0, String::new()));
    assert_eq!(staged.commit().unwrap(), Committed::default());
    place.write(outputs("b\n"), false);
    assert!(
        place.read("etc/gres.conf").ends_with("\nb\n") && place.read("state/gres.conf").ends_with("\na\n")
    );
    assert_eq!(place.names("etc"), ["gres.conf"]);
}

#[test]
fn staging_alone_changes_nothing() {
    let place = Place::new();
    place.write(vec![place.output(Kind::GresConf, "gres.conf", "a\n")], false);
    let staged = place.stage(vec![place.output(Kind::GresConf, "gres.conf", "b\n")], false).unwrap();
    let diff = staged.comparison.diff().replace(&place.0.path().display().to_string(), "ROOT");
    insta::assert_snapshot!(diff);
    drop(staged);
    assert!(place.read("gres.conf").ends_with("\na\n"));
    assert_eq!(place.names("."), ["gres.conf", "state"]);
}

#[test]
fn one_refusal_stops_all() {
    let place = Place::new();
    fs::write(place.path("cgroup.conf"), "ConstrainCores=yes\n").unwrap();
    let outputs = vec![
        place.output(Kind::GresConf, "gres.conf", "a\n"),
        place.output(Kind::CgroupConf, "cgroup.conf", "ConstrainDevices=yes\n"),
    ];
    insta::assert_snapshot!(place.error(outputs), @"ROOT/cgroup.conf: not written by gresgen; --adopt takes it over and keeps a backup");
    assert_eq!(place.names("."), ["cgroup.conf"]);
}

#[test]
fn adoption_keeps_a_backup_and_the_lines_of_others() {
    let place = Place::new();
    let site = "# ours\nAutoDetect=nvml\nNodeName=n1 Name=gpu Type=a100 \\\n  File=/dev/nvidia0\nName=fpga \\\n  Count=2\n";
    for round in ["1", "2"] {
        fs::write(place.path("gres.conf"), site).unwrap();
        place.write(vec![place.output(Kind::GresConf, "gres.conf", "NodeName=n1 Name=gpu\n")], true);
        assert_eq!(place.read(&format!("state/gres.conf.adopted-{round}")), site);
    }
    let kept = "# ours\nName=fpga \\\n  Count=2\n";
    let adopted = format!("{}\nNodeName=n1 Name=gpu\n{KEEP}\n{kept}", Output::MARKER);
    assert_eq!(place.read("gres.conf"), adopted);
    place.write(vec![place.output(Kind::GresConf, "gres.conf", "NodeName=n2 Name=gpu\n")], false);
    assert_eq!(place.read("gres.conf"), adopted.replace("n1", "n2"));
    assert_eq!(head(&adopted), format!("{}\nNodeName=n1 Name=gpu\n", Output::MARKER));
}

#[test]
fn adoption_of_cgroup_conf_keeps_other_constraints() {
    let place = Place::new();
    fs::write(
        place.path("cgroup.conf"),
        "constraindevices = no\nConstrainDevices=no\nConstrainCores=yes # x\n",
    )
    .unwrap();
    place.write(vec![place.output(Kind::CgroupConf, "cgroup.conf", "ConstrainDevices=yes\n")], true);
    insta::assert_snapshot!(place.read("cgroup.conf"));
}

#[test]
fn a_kept_line_that_contradicts_us_is_refused_with_its_place() {
    let place = Place::new();
    fs::write(place.path("gres.conf"), format!("{}\na\n{KEEP}\n\nname=GPU Type=x\n", Output::MARKER))
        .unwrap();
    insta::assert_snapshot!(place.error(vec![place.output(Kind::GresConf, "gres.conf", "b\n")]));
}

#[test]
fn gpus_of_other_nodes_are_theirs() {
    let place = Place::new();
    let others = "NodeName=n[2-9] Name=gpu Type=v100 File=/dev/nvidia[0-3]\nNodeName=n2 AutoDetect=off\n";
    let site = format!("NodeName=n[1,10] Name=gpu File=/dev/nvidia0\n{others}Name=gpu Count=1\n");
    fs::write(place.path("gres.conf"), site).unwrap();
    for adopt in [true, false] {
        place.write(vec![place.output(Kind::GresConf, "gres.conf", "NodeName=N1 Name=gpu\n")], adopt);
        let due = format!("{}\nNodeName=N1 Name=gpu\n{KEEP}\n{others}", Output::MARKER);
        assert_eq!(place.read("gres.conf"), due);
    }
    let error = place.error(vec![place.output(Kind::GresConf, "gres.conf", "NodeName=n[1-2] Name=gpu\n")]);
    assert!(error.starts_with("ROOT/gres.conf:4: this kept line contradicts what gresgen writes"), "{error}");
}

#[test]
fn keys_that_would_end_slurmd_are_not_kept() {
    let place = Place::new();
    let output = || vec![place.output(Kind::CgroupConf, "cgroup.conf", "ConstrainDevices=yes\n")];
    fs::write(place.path("cgroup.conf"), "ConstrainKmemSpace=no\nConstrainCores=yes\n").unwrap();
    place.write(output(), true);
    let head = format!("{}\nConstrainDevices=yes\n{KEEP}\n", Output::MARKER);
    assert_eq!(place.read("cgroup.conf"), format!("{head}ConstrainCores=yes\n"));
    // As after an update of Slurm.
    fs::write(place.path("cgroup.conf"), format!("{head}ConstrainCores=yes\nConstrainKmemSpace=no\n"))
        .unwrap();
    let error = place.error(output());
    assert!(
        error.starts_with("ROOT/cgroup.conf:5: ") && error.ends_with(": ConstrainKmemSpace=no"),
        "{error}"
    );
}

#[test]
fn a_link_stays_and_its_target_is_replaced() {
    let place = Place::new();
    place.write(vec![place.output(Kind::GresConf, "shared/gres.conf", "a\n")], false);
    symlink(place.path("shared/gres.conf"), place.path("gres.conf")).unwrap();
    place.write(vec![place.output(Kind::GresConf, "gres.conf", "b\n")], false);
    assert!(fs::symlink_metadata(place.path("gres.conf")).unwrap().is_symlink());
    assert!(place.read("shared/gres.conf").ends_with("\nb\n"));
}

#[test]
fn a_place_that_cannot_be_written_is_found_before_any_change() {
    let place = Place::new();
    fs::write(place.path("blocked"), "a file where a directory is due").unwrap();
    let outputs = vec![
        place.output(Kind::GresConf, "gres.conf", "a\n"),
        place.output(Kind::NodeConf, "blocked/node.conf", "a\n"),
    ];
    insta::assert_snapshot!(place.error(outputs));
    assert_eq!(place.names("."), ["blocked"]);
}
