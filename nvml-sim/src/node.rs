//! One file of the tree: what it is, and making it so.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

/// A file of the tree, with its permission bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// A directory, which other files may make unasked.
    Directory,
    /// A file of that text.
    Text(u32, String),
    /// A character device of that major and minor number.
    Device(u32, (u32, u32)),
    /// A symbolic link to that path, relative as in sysfs, so that it holds under any root.
    Link(String),
}

/// By what a file that is there is known to be what it shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// By what it says.
    Text,
    /// By kind, mode and length: for what this simulator wrote, in one system call instead of four.
    Status,
}

/// Makes a file what it shall be; one that is so already is left alone.
pub(crate) fn make(path: &Path, node: &Node, by: By) -> io::Result<()> {
    if is_already(path, node, by) {
        return Ok(());
    }
    let Node::Directory = node else { return replace(path, node) };
    make_directory(path)
}

/// Makes a directory and those above it, into which everybody may look whatever the umask is: those of the kernel are
/// no less open for who loaded the driver.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    match fs::create_dir(path) {
        // Another process was faster, or it is none, which is said of what should be in it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755))),
    }
}

/// Whether a file is what it shall be.
pub(crate) fn is_already(path: &Path, node: &Node, by: By) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return false };
    let permits = |mode: u32| found.mode() & 0o7777 == mode;
    match node {
        Node::Directory => found.is_dir(),
        Node::Text(mode, text) => {
            found.is_file()
                && permits(*mode)
                && found.len() == text.len() as u64
                && (by == By::Status || fs::read_to_string(path).is_ok_and(|t| t == *text))
        }
        Node::Device(mode, (major, minor)) => {
            found.file_type().is_char_device() && permits(*mode) && found.rdev() == makedev(*major, *minor)
        }
        Node::Link(target) => fs::read_link(path).is_ok_and(|found| found == Path::new(target)),
    }
}

/// Makes a file under another name and renames it, so that nobody sees half of it.
fn replace(path: &Path, node: &Node) -> io::Result<()> {
    let parent = path.parent().expect("every path of the tree has a parent");
    make_directory(parent)?;
    let mut name = std::ffi::OsString::from(".next-");
    name.push(path.file_name().expect("every path of the tree has a name"));
    let next = parent.join(name);
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mode = match node {
        Node::Directory => unreachable!("directories are made in place"),
        Node::Text(mode, text) => {
            fs::write(&next, text)?;
            *mode
        }
        Node::Device(mode, (major, minor)) => {
            make_device(&next, *major, *minor)?;
            *mode
        }
        Node::Link(target) => {
            symlink(target, &next)?;
            // A link has no permissions of its own.
            return fs::rename(&next, path);
        }
    };
    fs::set_permissions(&next, fs::Permissions::from_mode(mode))?;
    fs::rename(&next, path)
}

/// Makes a character device that root alone can open.
pub(crate) fn make_device(path: &Path, major: u32, minor: u32) -> io::Result<()> {
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, path, FileType::CharacterDevice, mode, makedev(major, minor)).map_err(io::Error::from)
}

/// Removes what is in a directory and not wanted. A directory that is not there is empty.
pub(crate) fn prune(directory: &Path, is_wanted: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let (path, is_dir) = entry.and_then(|e| Ok((e.path(), e.file_type()?.is_dir())))?;
        match (is_wanted(&path), is_dir) {
            (true, true) => prune(&path, is_wanted)?,
            (true, false) => {}
            (false, true) => fs::remove_dir_all(&path)?,
            (false, false) => fs::remove_file(&path)?,
        }
    }
    Ok(())
}
