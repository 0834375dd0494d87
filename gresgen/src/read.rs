//! Reading files that somebody else may have put there: never waits, never reads without end.
//!
//! A FIFO, a device or a file of gigabytes where a configuration is expected must not stop a program of root, least
//! of all one that holds the node's lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Largest file of Slurm or of this program's configuration that is read, in bytes. A gres.conf of a thousand nodes
/// with 56 devices each has about 8 MB.
pub(crate) const MAX_TEXT: u64 = 64 << 20;

/// Most bytes that are read of a file that the kernel makes, such as those of `/proc`: what it tells of a process may be as
/// long as the process likes.
pub(crate) const MAX_KERNEL: u64 = 4 << 20;

/// Opens a regular file, or what a link leads to, without waiting for whoever should be at its other end.
///
/// # Errors
/// The system's; [`io::ErrorKind::InvalidInput`] for anything but a regular file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // NONBLOCK: opening a FIFO for reading waits for its writer otherwise. It means nothing to a regular file.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"))
    }
}

/// Opens a regular file of this program's own, which is no link: one would lead root's writing anywhere, and a FIFO make it wait.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_own(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.custom_flags(flags.bits() as i32).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file; remove it"))
    }
}

/// What came of asking for a file; `None` where there is no such file.
///
/// # Errors
/// Any other.
pub(crate) fn if_there<T>(asked: io::Result<T>) -> io::Result<Option<T>> {
    match asked {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        asked => asked.map(Some),
    }
}

/// The content of a regular file of at most `most` bytes.
///
/// # Errors
/// As [`open`]; [`io::ErrorKind::FileTooLarge`] for more.
pub(crate) fn bytes(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    all(open(path)?, most)
}

/// Everything a reader gives, of at most `most` bytes.
///
/// # Errors
/// The reader's; [`io::ErrorKind::FileTooLarge`] for more.
pub(crate) fn all(reader: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Counted while reading: files of the kernel have no size, and others grow.
    reader.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("has more than {most} bytes")))
    } else {
        Ok(bytes)
    }
}

/// The same as text.
///
/// # Errors
/// As [`bytes`]; [`io::ErrorKind::InvalidData`] for bytes that are no UTF-8.
pub(crate) fn text(path: &Path, most: u64) -> io::Result<String> {
    utf8(bytes(path, most)?)
}

/// The same as text in which bytes that are no UTF-8 are replaced, where others may have written a part of it that says
/// nothing here.
///
/// # Errors
/// As [`bytes`].
pub(crate) fn lossy(path: &Path, most: u64) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&bytes(path, most)?).into_owned())
}

/// A file of the kernel as text, see [`lossy`].
///
/// # Errors
/// As [`bytes`].
pub(crate) fn kernel(path: impl AsRef<Path>) -> io::Result<String> {
    lossy(path.as_ref(), MAX_KERNEL)
}

/// Bytes as text.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for bytes that are no UTF-8.
pub(crate) fn utf8(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_or_too_large_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("file"), "12345").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert_eq!(text(&path("link"), 5).unwrap(), "12345");
        let error = |name: &Path, most| text(name, most).unwrap_err().to_string();
        assert_eq!(error(&path("file"), 4), "has more than 4 bytes");
        for name in [path("fifo"), path("."), "/dev/zero".into()] {
            assert_eq!(error(&name, 4), "is not a regular file", "{}", name.display());
        }
        assert!(!kernel("/proc/self/status").unwrap().is_empty());
        std::fs::write(path("file"), b"G\xfcnther").unwrap();
        assert_eq!(error(&path("file"), 9), "stream did not contain valid UTF-8");
        assert_eq!(lossy(&path("file"), 9).unwrap(), "G\u{fffd}nther");
    }
}
