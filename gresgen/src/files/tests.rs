use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of node n1, unless the body names others.
    fn output(&self, kind: Kind, name: &str, body: &str) -> Output {
        let text = format!("{}\n{body}", Output::MARKER);
        let mut nodes = kept::nodes(body.as_bytes());
        let scope = match nodes.len() {
            0 => Scope::Node("n1".into()),
            1 => Scope::Node(nodes.remove(0)),
            _ => Scope::Cluster(nodes.into_iter().collect()),
        };
        let root = Root::new(self.0.path()).unwrap();
        Output { kind, path: self.path(name), text, unread: vec!["constrainkmemspace".into()], scope, root }
    }

    /// What becomes of a foreign gres.conf when node n1 with two slices on nvidia0 and a whole nvidia1 adopts it.
    fn adopted(&self, site: impl AsRef<[u8]>) -> Result<String, String> {
        fs::write(self.path("gres.conf"), site).unwrap();
        let staged = self.stage(vec![self.output(Kind::GresConf, "gres.conf", TWO)], true);
        let root = self.0.path().display().to_string();
        staged.map_err(|e| e.to_string().replace(&root, "ROOT"))?.commit().unwrap();
        let text = String::from_utf8_lossy(&fs::read(self.path("gres.conf")).unwrap()).into_owned();
        let kept = text.strip_prefix(&format!("{}\n{TWO}", Output::MARKER)).unwrap().to_owned();
        Ok(kept.strip_prefix(&format!("{KEEP}\n")).unwrap_or(&kept).to_owned())
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

const TWO: &str = "NodeName=n1 Name=gpu Type=1g.5gb MultipleFiles=/dev/nvidia0,/dev/nvidia-caps/nvidia-cap66,/dev/nvidia-caps/nvidia-cap67
NodeName=n1 Name=gpu Type=1g.5gb MultipleFiles=/dev/nvidia0,/dev/nvidia-caps/nvidia-cap75,/dev/nvidia-caps/nvidia-cap76
NodeName=n1 Name=gpu Type=a100 File=/dev/nvidia1
";

#[test]
fn files_are_written_once_and_old_versions_kept() {
    let place = Place::new();
    let outputs = |body: &str| vec![place.output(Kind::GresConf, "etc/gres.conf", body)];
    let first = place.write(outputs("a\n"), false);
    assert_eq!((first.written.len(), first.backups.len()), (1, 0));
    assert_eq!(fs::metadata(place.path("etc/gres.conf")).unwrap().permissions().mode() & 0o777, 0o644);
    let comparison = Comparison::new(outputs("a\n"), false).unwrap();
    assert_eq!((comparison.changed().count(), comparison.diff()), (0, String::new()));
    let staged = place.stage(outputs("a\n"), false).unwrap();
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
    let outputs = vec![place.output(Kind::GresConf, "gres.conf", "b\n")];
    let comparison = Comparison::new(outputs.clone(), false).unwrap();
    let staged = place.stage(outputs, false).unwrap();
    let diff = comparison.diff().replace(&place.0.path().display().to_string(), "ROOT");
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
    fs::write(place.path("gres.conf"), "").unwrap();
    let outputs = vec![
        place.output(Kind::GresConf, "gres.conf", "a\n"),
        place.output(Kind::CgroupConf, "cgroup.conf", "ConstrainDevices=yes\n"),
    ];
    insta::assert_snapshot!(place.error(outputs), @"ROOT/gres.conf, ROOT/cgroup.conf: not written by gresgen; --adopt takes them over and keeps a backup");
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
    place.write(vec![place.output(Kind::GresConf, "gres.conf", "NodeName=n1 Name=gpu Count=2\n")], false);
    assert_eq!(place.read("gres.conf"), adopted.replace("n1 Name=gpu", "n1 Name=gpu Count=2"));
    assert_eq!(head(adopted.as_bytes()), format!("{}\nNodeName=n1 Name=gpu\n", Output::MARKER).as_bytes());
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
    let site = format!("NodeName=n[1,10] Name=gpu File=/dev/nvidia0\n{others}");
    fs::write(place.path("gres.conf"), site).unwrap();
    for adopt in [true, false] {
        place.write(vec![place.output(Kind::GresConf, "gres.conf", "NodeName=n1 Name=gpu\n")], adopt);
        let due = format!(
            "{}\nNodeName=n1 Name=gpu\n{KEEP}\nNodeName=n10 Name=gpu File=/dev/nvidia0\n{others}",
            Output::MARKER
        );
        assert_eq!(place.read("gres.conf"), due);
    }
    let error = place.error(vec![place.output(Kind::GresConf, "gres.conf", "NodeName=n[1-2] Name=gpu\n")]);
    assert!(error.starts_with("ROOT/gres.conf:5: this kept line contradicts what gresgen writes"), "{error}");
}

/// A line without nodes is everybody's: here it goes with the rest that this node had, in a file of several nodes it
/// stays theirs.
#[test]
fn what_is_about_every_node_is_not_taken_from_the_others() {
    let place = Place::new();
    for line in ["Name=gpu File=/dev/nvidia0", "AutoDetect=nvml"] {
        place.adopted(format!("{line}\n").as_bytes()).unwrap();
        assert!(!place.read("gres.conf").contains(line), "{line}");
        let site = format!("NodeName=n2 Name=gpu File=/dev/nvidia1\n{line}\n");
        let error = place.adopted(site.as_bytes()).unwrap_err();
        assert!(error.starts_with("ROOT/gres.conf:2: this kept line is about every node"), "{error}");
        assert_eq!(place.read("gres.conf"), site);
    }
    let site = "AutoDetect=off\nNodeName=n2 Name=gpu File=/dev/nvidia1\n";
    assert_eq!(place.adopted(site).unwrap(), site);
}

#[test]
fn adoption_takes_this_node_out_of_lines_of_several() {
    let place = Place::new();
    for (site, kept) in [
        ("Nodename=n[1-5]  Name=gpu  Type=a100 # all\n", "Nodename=n[2-5]  Name=gpu  Type=a100 # all\n"),
        ("NodeName=a1,n1 Name=gpu Flags=a1,n1\n", "NodeName=a1 Name=gpu Flags=a1,n1\n"),
        ("NodeName = n[1-2] Name+=gpu # n[1-2]\n", "NodeName = n2 Name+=gpu # n[1-2]\n"),
        // Where it cannot be told which text is the list, the words are written anew.
        (
            "NodeName=n\\1,n2 Name+=gpu \\ # NodeName=n2\n File=\"/dev/nvidia 0\" Flags=a\\#b # two\n",
            "NodeName=n2 Name+=gpu File=\"/dev/nvidia 0\" Flags=a\\#b # NodeName=n2 # two\n",
        ),
        ("NodeName=n1,n2 Name=gpu # NodeName=n1,n2\n", "NodeName=n2 Name=gpu # NodeName=n1,n2\n"),
        ("NodeName=\"n1, n2\" Name=GPU\n", "NodeName=\"n2\" Name=GPU\n"),
        ("NodeName=n[1-2] \\ # two\n  Name=gpu\n", "NodeName=n2 \\ # two\n  Name=gpu\n"),
        // Slurm tells case and width apart, and passes over a list that it cannot read.
        ("NodeName=N1,n01,n[1 Name=gpu\n", "NodeName=N1,n01,n[1 Name=gpu\n"),
        ("NodeName=r3i[4-7]n[0-8],n1-, Name=gpu\n", "NodeName=r3i[4-7]n[0-8],n1-, Name=gpu\n"),
        ("NodeName=n[1-2] AutoDetect=nvml\n", "NodeName=n2 AutoDetect=nvml\n"),
        ("NodeName=n[1-2] Name=nic Count=1\n", "NodeName=n[1-2] Name=nic Count=1\n"),
        ("NodeName=n1 Name=gpu \\   # both boards\n   File=/dev/nvidia[0-1]\n", ""),
        ("Name=gpu \\ # NodeName=n2\nFile=/dev/nvidia0\n", ""),
    ] {
        assert_eq!(place.adopted(site).unwrap(), kept, "{site}");
    }
}

#[test]
fn bytes_of_any_encoding_pass() {
    let place = Place::new();
    let site = b"# Knoten f\xfcr Gr\xe4fin\nName=fpga Count=1 # \xff\x00\n";
    place.adopted(site).unwrap();
    for _ in 0..2 {
        assert!(fs::read(place.path("gres.conf")).unwrap().ends_with(site));
        place.write(vec![place.output(Kind::GresConf, "gres.conf", &TWO.replace("a100", "a30"))], false);
    }
}

#[test]
fn lines_of_others_stay_beside_a_node_without_devices() {
    let place = Place::new();
    let others = "NodeName=n2 Name=gpu Type=v100\nNodeName=n3 AutoDetect=nvml\n";
    fs::write(place.path("gres.conf"), format!("NodeName=n1 Name=gpu\n{others}")).unwrap();
    for adopt in [true, false] {
        place.write(vec![place.output(Kind::GresConf, "gres.conf", "")], adopt);
        assert_eq!(place.read("gres.conf"), format!("{}\n{KEEP}\n{others}", Output::MARKER));
    }
}

#[test]
fn a_file_that_other_nodes_write_is_left_to_them() {
    let place = Place::new();
    place.write(vec![place.output(Kind::GresConf, "gres.conf", TWO)], false);
    let second = || TWO.replace("n1", "n2");
    for (kind, adopt) in [(Kind::GresConf, false), (Kind::GresConf, true), (Kind::NodeConf, false)] {
        let error = place.stage(vec![place.output(kind, "gres.conf", &second())], adopt).unwrap_err();
        assert!(matches!(&error, FileError::OfOthers { nodes, .. } if nodes == "n1"), "{error}");
    }
    // Whoever writes for all of them says all there is to say.
    place.write(vec![place.output(Kind::GresConf, "gres.conf", &format!("{TWO}{}", second()))], false);
    let error = place.error(vec![place.output(Kind::GresConf, "gres.conf", TWO)]);
    assert!(error.starts_with("ROOT/gres.conf: has lines about n2, which would be gone"), "{error}");
}

#[test]
fn included_files_have_no_gpus_of_this_node() {
    let place = Place::new();
    for (line, refused) in [
        ("NodeName=n1 Name=gpu File=/dev/nvidia0\n", true),
        ("Name=gpu Type=a100 File=/dev/nvidia[0-1]\n", true),
        ("NodeName=n[1-4] AutoDetect=nvml\n", true),
        ("NodeName=n[2-4] Name=gpu\nName=nic Count=2\n", false),
    ] {
        fs::write(place.path("queue.conf"), format!("# q\n{line}")).unwrap();
        // A ring of includes ends, absolute paths lie below the prefix, and a file that is not there is none.
        fs::write(place.path("cloud.conf"), "include cloud.conf\ninclude /queue.conf\ninclude none\n")
            .unwrap();
        let adopted = place.adopted("Include cloud.conf\n");
        if refused {
            let error = adopted.unwrap_err();
            let due = "ROOT/queue.conf:2: has GPUs of this node, and ROOT/gres.conf includes it";
            assert!(error.starts_with(due) && error.ends_with(line.trim_end()), "{error}");
        } else {
            assert_eq!(adopted.unwrap(), "Include cloud.conf\n");
        }
    }
    // As after somebody added it to a file of ours.
    fs::write(place.path("queue.conf"), "Name=gpu\n").unwrap();
    let own = format!("{}\n{TWO}{KEEP}\ninclude queue.conf\n", Output::MARKER);
    fs::write(place.path("gres.conf"), own).unwrap();
    assert!(place.error(vec![place.output(Kind::GresConf, "gres.conf", TWO)]).contains("queue.conf:1: "));
}

#[test]
fn shares_of_a_gpu_that_is_not_whole_are_named() {
    let place = Place::new();
    let good = "Name=shard Count=8 File=/dev/nvidia1\nName=shard Count=8\nNodeName=n2 Name=mps Count=1 File=/dev/nvidia0\n\
                Name=shard Count=8 File=/dev/dri/renderD128\n";
    assert_eq!(place.adopted(good).unwrap(), good);
    // The third has MIG on without a slice, and no line of its own.
    for (bad, gpu) in [
        ("Name=shard Count=8 File=/dev/nvidia0\n", "nvidia0"),
        ("NodeName=n[1-2] Name=MPS Count=9 File=/dev/nvidia[0-1]\n", "nvidia0"),
        ("Name=shard Count=8 File=/dev/nvidia2\n", "nvidia2"),
    ] {
        let error = place.adopted(format!("{good}{bad}")).unwrap_err();
        assert!(error.starts_with(&format!("ROOT/gres.conf:5: this kept line shares {gpu} as ")), "{error}");
    }
}

#[test]
fn a_file_keeps_its_owner_and_mode_and_so_does_its_backup() {
    let place = Place::new();
    place.write(vec![place.output(Kind::GresConf, "gres.conf", "a\n")], false);
    fs::set_permissions(place.path("gres.conf"), fs::Permissions::from_mode(0o640)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(place.path("gres.conf"), Some(64030), Some(64031)).unwrap();
    }
    let before = Attributes::of(&place.path("gres.conf"), 0);
    place.write(vec![place.output(Kind::GresConf, "gres.conf", "b\n")], false);
    for file in ["gres.conf", "state/gres.conf"] {
        assert_eq!(Attributes::of(&place.path(file), 0), before, "{file}");
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let place = Place::new();
    fs::create_dir(place.path("gres.conf")).unwrap();
    let error = place.error(vec![place.output(Kind::GresConf, "gres.conf", TWO)]);
    assert_eq!(error, "ROOT/gres.conf: cannot be read: is not a regular file");
}

#[test]
fn keys_that_would_end_slurmd_are_not_kept() {
    let place = Place::new();
    let output = || vec![place.output(Kind::CgroupConf, "cgroup.conf", "ConstrainDevices=yes\n")];
    fs::write(place.path("cgroup.conf"), "ConstrainKmemSpace=no\nConstrainCores=yes\n").unwrap();
    place.write(output(), true);
    let head = format!("{}\nConstrainDevices=yes\n{KEEP}\n", Output::MARKER);
    assert_eq!(place.read("cgroup.conf"), format!("{head}ConstrainCores=yes\n"));
    // What we say as well now is said once; what we say otherwise has to go.
    fs::write(place.path("cgroup.conf"), format!("{head}constraindevices = YES\nConstrainCores=yes\n"))
        .unwrap();
    place.write(output(), false);
    assert_eq!(place.read("cgroup.conf"), format!("{head}ConstrainCores=yes\n"));
    fs::write(place.path("cgroup.conf"), format!("{head}ConstrainDevices=no\n")).unwrap();
    assert!(place.error(output()).contains(":4: this kept line contradicts"));
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

/// A carriage return is a sign like others to whoever reads the diff, and to patch(1).
#[test]
fn a_diff_has_the_lines_that_the_file_has() {
    let place = Place::new();
    let path = place.path("gres.conf");
    fs::write(&path, format!("{}\nNodeName=n1 Name=gpu\n{KEEP}\n# a\rb\r\n", Output::MARKER)).unwrap();
    let output = place.output(Kind::GresConf, "gres.conf", "NodeName=n1 Name=gpu Type=x\n");
    let diff = Comparison::new(vec![output], false).unwrap().diff();
    let lines: Vec<&str> = diff.split_inclusive('\n').skip(3).collect();
    assert!(lines.contains(&" # a\rb\r\n"), "{diff:?}");
    assert!(lines.iter().all(|line| line.starts_with([' ', '+', '-'])), "{diff:?}");
}
