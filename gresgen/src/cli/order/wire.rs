//! One message in and one out, over a connection whose other side may be anybody: a process of root waits for neither without
//! end.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Most bytes that are written at once: what a pipe or socket takes whole where poll(2) says that it is ready (pipe(7),
/// PIPE_BUF).
const PIECE: usize = 4096;

/// Reads up to the end of the input.
///
/// # Errors
/// The system's; [`ErrorKind::FileTooLarge`] for more than `most` bytes, [`ErrorKind::TimedOut`] where the end does not
/// come in time.
pub(super) fn read(input: impl AsFd, most: u64, limit: Duration) -> Result<Vec<u8>> {
    let end = Instant::now() + limit;
    let mut bytes = Vec::new();
    let mut piece = [0; PIECE];
    loop {
        ready(input.as_fd(), PollFlags::IN, end)?;
        match rustix::io::read(&input, &mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        if bytes.len() as u64 > most {
            return Err(Error::new(ErrorKind::FileTooLarge, format!("has more than {most} bytes")));
        }
    }
}

/// Writes all of it.
///
/// # Errors
/// The system's; [`ErrorKind::TimedOut`] where nobody takes it in time.
pub(super) fn write(output: impl AsFd, mut bytes: &[u8], limit: Duration) -> Result<()> {
    let end = Instant::now() + limit;
    while !bytes.is_empty() {
        ready(output.as_fd(), PollFlags::OUT, end)?;
        match rustix::io::write(&output, &bytes[..bytes.len().min(PIECE)]) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn ready(fd: BorrowedFd<'_>, what: PollFlags, end: Instant) -> Result<()> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let late = || Error::new(ErrorKind::TimedOut, "its end has not come in time");
        let left = Timespec::try_from(left).map_err(|_| late())?;
        match poll(&mut [PollFd::from_borrowed_fd(fd, what)], Some(&left)) {
            Ok(0) => return Err(late()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Write, pipe};

    use super::*;

    const NEVER: Duration = Duration::from_secs(600);

    #[test]
    fn what_is_too_long_or_never_ends_is_refused() {
        let sent = |text: &[u8]| {
            let (input, mut output) = pipe().unwrap();
            output.write_all(text).unwrap();
            drop(output);
            read(input, 5, NEVER)
        };
        assert_eq!(sent(b"12345").unwrap(), b"12345");
        assert_eq!(sent(b"123456").unwrap_err().to_string(), "has more than 5 bytes");
        assert_eq!(
            read(File::open("/dev/zero").unwrap(), 5, NEVER).unwrap_err().kind(),
            ErrorKind::FileTooLarge
        );
        assert_eq!(read(File::open("/dev/null").unwrap(), 5, NEVER).unwrap(), b"");
        let (input, mut output) = pipe().unwrap();
        output.write_all(b"{").unwrap();
        let error = read(&input, 5, Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.to_string(), "its end has not come in time");
    }

    #[test]
    fn nobody_who_does_not_read_is_waited_for() {
        let (input, output) = pipe().unwrap();
        let text = vec![b'x'; 1 << 20];
        assert_eq!(write(&output, &text, Duration::from_millis(20)).unwrap_err().kind(), ErrorKind::TimedOut);
        drop(input);
        assert_eq!(write(&output, &text, NEVER).unwrap_err().kind(), ErrorKind::BrokenPipe);
        write(File::create("/dev/null").unwrap(), &text, NEVER).unwrap();
    }
}
