//! One test per rule. They run as root and as a user: the owner that is trusted is the one running them.

use super::*;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use tempfile::TempDir;

const MAP: &str =
    "gresgen-devices 1\nnode n1\nboot b\ngres-conf d\ncolumns index type uuid parent gi ci files\nend 0\n";

/// A directory of our own with a map in it.
fn directory() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let map = directory.path().join("devices");
    fs::write(&map, MAP).unwrap();
    mode(&map, 0o644);
    (directory, map)
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn me() -> u32 {
    // A file of ours tells our user without a call that the standard library lacks.
    directory().1.metadata().unwrap().uid()
}

fn reason(path: &Path) -> String {
    let directory = path.parent().unwrap().display().to_string();
    read(path, me()).unwrap_err().to_string().replace(&directory, "DIR")
}

#[test]
fn a_map_of_our_own_is_read() {
    let (_directory, map) = directory();
    assert_eq!(read(&map, me()).unwrap(), MAP);
}

#[test]
fn a_link_in_its_place_is_not_followed() {
    let (directory, map) = directory();
    let link = directory.path().join("link");
    symlink(&map, &link).unwrap();
    assert_eq!(reason(&link), "DIR/link: is a symbolic link");
}

#[test]
fn others_must_not_be_able_to_write_it() {
    let (_directory, map) = directory();
    for bits in [0o664, 0o646, 0o666] {
        mode(&map, bits);
        assert_eq!(reason(&map), format!("DIR/devices: can be written by others (mode {bits:04o})"));
    }
    mode(&map, 0o600);
    assert!(read(&map, me()).is_ok());
}

#[test]
fn others_must_not_be_able_to_replace_it() {
    let (directory, map) = directory();
    for bits in [0o775, 0o757, 0o777] {
        mode(directory.path(), bits);
        assert_eq!(reason(&map), format!("DIR: can be written by others (mode {bits:04o})"));
    }
    // In a sticky directory they can only add names.
    mode(directory.path(), 0o1777);
    assert!(read(&map, me()).is_ok());
}

#[test]
fn a_linked_directory_is_judged_by_where_it_leads() {
    let (directory, map) = directory();
    let (elsewhere, _) = self::directory();
    let link = elsewhere.path().join("link");
    symlink(directory.path(), &link).unwrap();
    let through = link.join("devices");
    assert_eq!(read(&through, me()).unwrap(), MAP);

    // The link's own directory is fine; one above the target is not.
    let below = directory.path().join("below");
    fs::create_dir(&below).unwrap();
    fs::copy(&map, below.join("devices")).unwrap();
    mode(directory.path(), 0o777);
    let deep = elsewhere.path().join("deep");
    symlink(&below, &deep).unwrap();
    let error = read(&deep.join("devices"), me()).unwrap_err().to_string();
    assert_eq!(error, format!("{}: can be written by others (mode 0777)", directory.path().display()));
}

#[test]
fn it_belongs_to_root() {
    if me() != 0 {
        // Only root can make a file of somebody else; a user's own file is the foreign one then.
        let (_directory, map) = directory();
        assert!(read(&map, u32::MAX).unwrap_err().to_string().contains("belongs to user"));
        return;
    }
    let (directory, map) = directory();
    chown(&map, Some(65534), None).unwrap();
    assert_eq!(reason(&map), "DIR/devices: belongs to user 65534, not to root");
    chown(&map, Some(0), None).unwrap();
    chown(directory.path(), Some(65534), None).unwrap();
    assert_eq!(reason(&map), "DIR: belongs to user 65534, not to root");
}

#[test]
fn it_is_a_file() {
    let (directory, _) = directory();
    let below = directory.path().join("below");
    fs::create_dir(&below).unwrap();
    assert_eq!(reason(&below), "DIR/below: is not a regular file");
}

#[test]
fn a_fifo_neither_hangs_nor_passes() {
    let (directory, _) = directory();
    let fifo = directory.path().join("fifo");
    // Not by a program: it would have the descriptors of the tests beside this one for a moment, and their locks.
    let (kind, readable) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o644));
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, readable, 0).unwrap();
    mode(&fifo, 0o644);
    assert_eq!(reason(&fifo), "DIR/fifo: is not a regular file");
}

#[test]
fn its_size_has_a_limit() {
    let (_directory, map) = directory();
    let file = OpenOptions::new().write(true).open(&map).unwrap();
    file.set_len(MAX_BYTES).unwrap();
    assert!(read(&map, me()).is_ok());
    file.set_len(MAX_BYTES + 1).unwrap();
    assert_eq!(reason(&map), "DIR/devices: has 1048577 bytes, more than 1048576");
}

#[test]
fn every_directory_above_it_is_looked_at() {
    let above = |path| directories(Path::new(path)).collect::<Vec<_>>();
    assert_eq!(above("/run/gresgen/devices"), ["/run/gresgen", "/run", "/"].map(Path::new));
    assert_eq!(above("/devices"), [Path::new("/")]);
    // A link before two slashes is seen as one.
    assert_eq!(above("/link//devices")[1].as_os_str(), "/link");
}

#[test]
fn its_path_is_absolute() {
    let error = read(Path::new("devices"), me()).unwrap_err();
    assert_eq!(error.to_string(), "devices: is not an absolute path");
}

#[test]
fn what_is_not_there_or_no_text_is_an_error_of_reading() {
    let (directory, map) = directory();
    let missing = directory.path().join("none");
    assert!(
        matches!(read(&missing, me()), Err(LoadError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound)
    );
    let gone = directory.path().join("gone/devices");
    assert!(
        matches!(read(&gone, me()), Err(LoadError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound)
    );
    fs::write(&map, [0xff, 0xfe]).unwrap();
    assert!(matches!(read(&map, me()), Err(LoadError::Io(..))));
}
