//! When whoever gives orders was last heard here: what orders have closed opens by an order, and where no more come it stays closed.

use std::fs::{OpenOptions, metadata};
use std::io;
use std::time::{Duration, SystemTime};

use crate::atomic;
use crate::root::Root;

/// An arbiter looks at each node every three minutes, and where there are thousands each second at one of them.
const LONG: Duration = Duration::from_secs(3 * 3600);

/// Notes that an order or a look came. Nothing is refused because that could not be written.
pub(crate) fn note(root: &Root) {
    let path = root.path(Root::HEARD);
    let write = || -> io::Result<()> {
        path.parent().map_or(Ok(()), atomic::own_directory)?;
        // Its time is all that it says.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        file.set_modified(SystemTime::now())
    };
    let _ = write();
}

/// For how long no order and no look has come, where that is longer than an arbiter that works lets pass.
pub(crate) fn silence(root: &Root) -> Option<Duration> {
    let changed = |path| metadata(root.path(path)).and_then(|file| file.modified()).ok();
    // What is closed was closed by an order, too.
    let last = [Root::HEARD, Root::CLOSED].into_iter().filter_map(changed).max()?;
    // One of a time to come is of a clock that was set back.
    last.elapsed().ok().filter(|since| *since >= LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_heard_is_silent_when_hours_have_passed() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path()).unwrap();
        assert_eq!(silence(&root), None, "nothing was ever closed");
        note(&root);
        assert_eq!(silence(&root), None);
        let set = |path, ago| {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(root.path(path));
            file.unwrap().set_modified(SystemTime::now() - ago).unwrap();
        };
        set(Root::HEARD, LONG);
        assert!(silence(&root).is_some_and(|since| since >= LONG));
        set(Root::CLOSED, Duration::ZERO);
        assert_eq!(silence(&root), None);
        set(Root::CLOSED, 2 * LONG);
        note(&root);
        assert_eq!(silence(&root), None);
    }
}
