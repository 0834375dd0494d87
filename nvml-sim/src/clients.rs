//! Processes that use GPUs and MIG devices: a text file in the state, `uuid pid` per line, and what the process does
//! where it does not compute.
//!
//! Anyone may write it, a test or a job's prolog. Lines of processes that have ended are ignored, so
//! nobody has to take them out.

use std::fs;
use std::io;
use std::path::Path;

/// Who uses what, of processes that live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    uses: Vec<(String, u32, Activity)>,
}

/// What a process does on a device: NVML lists each kind by a call of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activity {
    /// It computes.
    #[default]
    Compute,
    /// It draws.
    Graphics,
    /// It computes as a client of the Multi-Process Service. NVML lists it with those that compute, too: nvidia-smi
    /// marks such a process M+C, and leaves out one that is in the list of MPS alone.
    Mps,
}

impl Activity {
    /// Its word in the file.
    fn read(word: &str) -> Option<Activity> {
        match word {
            "compute" => Some(Activity::Compute),
            "graphics" => Some(Activity::Graphics),
            "mps" => Some(Activity::Mps),
            _ => None,
        }
    }
}

impl Clients {
    /// Reads the file; one that is not there means nobody uses anything.
    ///
    /// # Errors
    /// When it cannot be read, and with [`io::ErrorKind::InvalidData`] naming the line that is no `uuid pid [compute|graphics|mps]`.
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
            let (uuid, pid, activity) = match fields[..] {
                [uuid, pid] => (uuid, pid, Some(Activity::default())),
                [uuid, pid, activity] => (uuid, pid, Activity::read(activity)),
                _ => return Err(bad_line(number)),
            };
            let activity = activity.ok_or_else(|| bad_line(number))?;
            let pid = pid.parse().map_err(|_| bad_line(number))?;
            if alive(pid) {
                uses.push((uuid.to_owned(), pid, activity));
            }
        }
        Ok(Clients { uses })
    }

    /// Processes that do this on the object of this UUID.
    pub fn on<'a>(&'a self, uuid: &'a str, activity: Activity) -> impl Iterator<Item = u32> + 'a {
        let does = move |a: Activity| a == activity || (a, activity) == (Activity::Mps, Activity::Compute);
        self.uses.iter().filter(move |(u, _, a)| u == uuid && does(*a)).map(|&(_, pid, _)| pid)
    }

    /// Whether any process uses the object of this UUID, whatever it does.
    pub fn any_on(&self, uuid: &str) -> bool {
        self.uses.iter().any(|(u, _, _)| u == uuid)
    }
}

fn bad_line(number: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("line {number} is not `uuid pid [compute|graphics|mps]`"),
    )
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
        assert_eq!(clients.on("MIG-a", Activity::Compute).collect::<Vec<_>>(), [10]);
        assert!(clients.any_on("GPU-b") && !clients.any_on("MIG-c"));
    }

    #[test]
    fn a_process_computes_unless_its_line_says_otherwise() {
        let clients = Clients::parse("GPU-a 1\nGPU-a 2 graphics\nGPU-a 3 mps\nGPU-a 2 compute\n", |_| true);
        let on = |activity| clients.as_ref().unwrap().on("GPU-a", activity).collect::<Vec<_>>();
        assert_eq!(on(Activity::Compute), [1, 3, 2]);
        assert_eq!((on(Activity::Graphics), on(Activity::Mps)), (vec![2], vec![3]));
    }

    #[test]
    fn other_lines_are_an_error_that_names_them() {
        for text in ["MIG-a 1\nMIG-a", "MIG-a 1\nMIG-a x", "MIG-a 1\nMIG-a 1 2"] {
            let error = Clients::parse(text, |_| true).unwrap_err();
            assert!(error.to_string().starts_with("line 2 is not `uuid pid ["), "{error}");
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
