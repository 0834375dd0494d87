//! Reading a small file in few system calls: slurmstepd does it at the start of every step.

use std::io;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Opens `path` unless it is a symbolic link (`ELOOP`). A fifo does not hang the caller.
pub(crate) fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::empty())
}

/// The first `size` bytes of `file`, or as many as it has.
pub(crate) fn text(file: &OwnedFd, size: usize) -> io::Result<String> {
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size && rustix::io::read(file, spare_capacity(&mut bytes))? > 0 {}
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}
