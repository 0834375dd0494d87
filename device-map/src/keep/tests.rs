//! The copy follows the map, and goes with it.

use super::*;
use tempfile::TempDir;

fn text(node: &str, boot: &str) -> String {
    DeviceMap { node: node.into(), boot: boot.into(), ..DeviceMap::default() }.to_string()
}

fn boot() -> String {
    crate::boot_id().unwrap()
}

/// Maps belong to root, so these tests have something to say to root only.
fn directory() -> Option<(TempDir, PathBuf)> {
    let directory = TempDir::new().unwrap();
    let map = directory.path().join("devices");
    fs::write(&map, text("n1", &boot())).unwrap();
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
    fs::write(&map, text("n2", &boot())).unwrap();
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
fn a_map_of_another_boot_is_not_kept() {
    let Some((directory, map)) = directory() else { return };
    keep(&map).unwrap();
    fs::write(&map, text("n1", "another")).unwrap();
    assert!(matches!(keep(&map), Err(LoadError::Stale(path)) if path == map));
    assert_eq!(names(&directory), ["devices"]);
}

#[test]
fn what_a_killed_slurmd_left_is_no_hindrance() {
    let Some((directory, map)) = directory() else { return };
    let left = directory.path().join(format!("devices.slurmd.{}", process::id()));
    fs::write(&left, "half").unwrap();
    keep(&map).unwrap();
    assert_eq!(names(&directory), ["devices", "devices.slurmd"]);
}

#[test]
fn the_copy_of_a_running_slurmd_is_brought_up_to_date_and_never_made() {
    let Some((directory, map)) = directory() else { return };
    refresh(&map).unwrap();
    assert_eq!(names(&directory), ["devices"], "no slurmd has loaded one");
    keep(&map).unwrap();
    let copy = DeviceMap { plugin: Some("0.1.0".into()), ..load(&kept(&map)).unwrap() };
    fs::write(kept(&map), copy.to_string()).unwrap();
    fs::write(&map, text("n2", &boot())).unwrap();
    refresh(&map).unwrap();
    let copy = load(&kept(&map)).unwrap();
    assert_eq!((copy.node.as_str(), copy.plugin.as_deref()), ("n2", Some("0.1.0")));
    // What cannot be trusted changes nothing.
    fs::write(&map, "garbage\n").unwrap();
    assert!(matches!(refresh(&map), Err(LoadError::Parse(..))));
    assert_eq!(load(&kept(&map)).unwrap(), copy);
}
