//! Who uses an instance.

use crate::inventory::Holder;

/// A process by its id, with what `/proc` tells of it.
pub fn process(pid: u32) -> Holder {
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Holder::Process { pid, command: comm.trim().to_owned(), user: user(pid).unwrap_or_default() }
}

/// Login name, or number, of a process's real user.
fn user(pid: u32) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("Uid:"))?;
    let uid = line.split_whitespace().next()?;
    Some(login(uid).unwrap_or_else(|| uid.to_owned()))
}

/// Login name of a numeric user id in `/etc/passwd`. Users of a directory service keep their number: asking
/// it could hang the program on a broken node.
fn login(uid: &str) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut entries = passwd.lines().map(|l| l.split(':').collect::<Vec<_>>());
    entries.find(|e| e.get(2) == Some(&uid)).and_then(|e| e.first().map(|name| (*name).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named() {
        let Holder::Process { pid, command, user } = process(std::process::id()) else { panic!() };
        assert_eq!(pid, std::process::id());
        assert!(!command.is_empty() && !user.is_empty());
    }
}
