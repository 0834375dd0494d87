//! Processes that use GPUs and MIG devices: a text file in the state, `uuid pid` per line.
//!
//! Anyone may write it, a test or a job's prolog. Lines of processes that have ended are ignored, so
//! nobody has to take them out.

use std::fs;
use std::io;
use std::path::Path;

/// Who uses what, of processes that live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    uses: Vec<(String, u32)>,
}

impl Clients {
    /// Reads the file; one that is not there means nobody uses anything.
    ///
    /// # Errors
    /// When it cannot be read, and with [`io::ErrorKind::InvalidData`] naming the line that is no `uuid pid`.
    pub fn read(path: &Path) -> io::Result<Clients> {
        match fs::read_to_string(path) {
            Ok(text) => Clients::parse(&text, alive),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Clients::default()),
            Err(error) => Err(error),
        }
    }

    /// Reads the text of such a file, keeping the processes for which `alive` holds.
    fn parse(text: &str, alive: impl Fn(u32) -> bool) -> io::Result<Clients> {
        let mut uses = Vec::new();
        for (line, number) in text.lines().zip(1..).filter(|(l, _)| !l.trim().is_empty()) {
            let fields = line.split_whitespace().collect::<Vec<_>>();
            let [uuid, pid] = fields[..] else { return Err(bad_line(number)) };
            let pid = pid.parse().map_err(|_| bad_line(number))?;
            if alive(pid) {
                uses.push((uuid.to_owned(), pid));
            }
        }
        Ok(Clients { uses })
    }

    /// Processes that use the object of this UUID.
    pub fn on<'a>(&'a self, uuid: &'a str) -> impl Iterator<Item = u32> + 'a {
        self.uses.iter().filter(move |(u, _)| u == uuid).map(|&(_, pid)| pid)
    }

    /// Whether any process uses the object of this UUID.
    pub fn any_on(&self, uuid: &str) -> bool {
        self.on(uuid).next().is_some()
    }
}

fn bad_line(number: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("line {number} is not `uuid pid`"))
}

/// Whether a process lives. One that has ended but was not waited for holds no GPU any more.
fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The command name is in parentheses and may contain any character, so read from the last one.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|s| !matches!(s, 'Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_dead_processes_are_ignored() {
        let clients = Clients::parse("MIG-a 10\n\nMIG-a 11\n  GPU-b   12 \n", |pid| pid != 11).unwrap();
        assert_eq!(clients.on("MIG-a").collect::<Vec<_>>(), [10]);
        assert!(clients.any_on("GPU-b") && !clients.any_on("MIG-c"));
    }

    #[test]
    fn other_lines_are_an_error_that_names_them() {
        for text in ["MIG-a 1\nMIG-a", "MIG-a 1\nMIG-a x", "MIG-a 1\nMIG-a 1 2"] {
            let error = Clients::parse(text, |_| true).unwrap_err();
            assert_eq!(error.to_string(), "line 2 is not `uuid pid`");
        }
    }

    #[test]
    fn this_process_lives_and_an_ended_one_does_not_even_before_it_is_waited_for() {
        assert!(alive(std::process::id()));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(alive(child.id()));
        child.kill().unwrap();
        let gone = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(2));
            !alive(child.id())
        });
        assert!(gone);
        child.wait().unwrap();
    }
}
