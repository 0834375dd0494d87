//! The copy follows the map, and goes with it.

use super::*;
use tempfile::TempDir;

const MAP: &str =
    "gresgen-devices 1\nnode n1\nboot b\ngres-conf d\ncolumns index type uuid parent gi ci files\nend 0\n";

/// Maps belong to root, so these tests have something to say to root only.
fn directory() -> Option<(TempDir, PathBuf)> {
    let directory = TempDir::new().unwrap();
    let map = directory.path().join("devices");
    fs::write(&map, MAP).unwrap();
    load(&map).is_ok().then_some((directory, map))
}

fn names(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_copy_stands_beside_the_map() {
    assert_eq!(kept(Path::new("/run/gresgen/devices")), Path::new("/run/gresgen/devices.slurmd"));
}

#[test]
fn the_copy_is_what_tasks_will_read() {
    let Some((directory, map)) = directory() else { return };
    let first = keep(&map).unwrap();
    assert_eq!(load(&kept(&map)).unwrap(), first);
    fs::write(&map, MAP.replace("node n1", "node n2")).unwrap();
    assert_eq!(load(&kept(&map)).unwrap(), first, "until slurmd starts again");
    keep(&map).unwrap();
    assert_eq!(load(&kept(&map)).unwrap().node, "n2");
    assert_eq!(names(&directory), ["devices", "devices.slurmd"]);
}

#[test]
fn no_copy_outlives_a_map_that_cannot_be_trusted() {
    let Some((directory, map)) = directory() else { return };
    let good = keep(&map).unwrap();
    fs::write(&map, "garbage\n").unwrap();
    assert!(matches!(keep(&map), Err(LoadError::Parse(..))));
    assert_eq!(names(&directory), ["devices"]);
    fs::write(&map, good.to_string()).unwrap();
    keep(&map).unwrap();
    fs::remove_file(&map).unwrap();
    assert!(matches!(keep(&map), Err(LoadError::Io(..))));
    assert!(names(&directory).is_empty());
}

#[test]
fn what_a_killed_slurmd_left_is_no_hindrance() {
    let Some((directory, map)) = directory() else { return };
    let left = directory.path().join(format!("devices.slurmd.{}", process::id()));
    fs::write(&left, "half").unwrap();
    keep(&map).unwrap();
    assert_eq!(names(&directory), ["devices", "devices.slurmd"]);
}
