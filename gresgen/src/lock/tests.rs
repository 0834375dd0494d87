use std::io::Read;
use std::os::unix::fs::symlink;

use super::*;

fn place() -> (tempfile::TempDir, Root) {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path()).unwrap();
    (directory, root)
}

/// A child that another test forks at this moment has the descriptor, and with it the lock, until it executes.
fn soon(done: impl Fn() -> bool) -> bool {
    (0..200).any(|_| {
        let is = done();
        if !is {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        is
    })
}

#[test]
fn a_second_taker_learns_who_has_it() {
    let (_directory, root) = place();
    let first = Lock::node(&root).unwrap();
    let error = Lock::node(&root).unwrap_err().to_string();
    assert!(error.ends_with(&format!("held by process {}", std::process::id())), "{error}");
    assert_eq!(node_holder(&root), Some(std::process::id()));
    drop(first);
    assert!(soon(|| node_holder(&root).is_none()));
    Lock::node(&root).unwrap();
}

#[test]
fn a_slice_is_held_only_while_locked() {
    let (_directory, root) = place();
    assert_eq!(slice_holder(&root, "MIG-a", &kernel_locks()), None);
    let lock = Lock::slice(&root, "MIG-a").unwrap();
    assert_eq!(slice_holder(&root, "MIG-a", &kernel_locks()), Some(SliceHolder::Run(std::process::id())));
    drop(lock);
    assert!(soon(|| slice_holder(&root, "MIG-a", &kernel_locks()).is_none()));
    assert!(Lock::slice(&root, "../x").is_err() && slice_holder(&root, "../x", &kernel_locks()).is_none());
}

#[test]
fn a_slice_that_users_may_hold_is_seen_to_be_held() {
    let (_directory, root) = place();
    assert!(Lock::slice_as_user(&root, "MIG-a").is_err(), "there is no file yet");
    let_users_hold(&root, ["MIG-a"], true).unwrap();
    let path = root.path(Root::SLICES).join("MIG-a");
    let mode = || path.metadata().unwrap().mode() & 0o7777;
    assert_eq!(mode(), 0o644);
    let held = Lock::slice_as_user(&root, "MIG-a").unwrap();
    assert_eq!(slice_holder(&root, "MIG-a", &kernel_locks()), Some(SliceHolder::Run(std::process::id())));
    let error = Lock::slice(&root, "MIG-a").unwrap_err().to_string();
    assert!(error.ends_with(&format!("held by process {}", std::process::id())), "{error}");
    drop(held);
    assert!(soon(|| Lock::slice(&root, "MIG-a").is_ok()));
    assert!(soon(|| slice_holder(&root, "MIG-a", &kernel_locks()).is_none()));
    assert_eq!(mode(), 0o644);
    // Half a lock is in the way as well.
    let file = File::open(&path).unwrap();
    file.lock().unwrap();
    assert_eq!(slice_holder(&root, "MIG-a", &kernel_locks()), Some(SliceHolder::Other(std::process::id())));
    // While it is held it stays, so that its holder is seen.
    let_users_hold(&root, ["MIG-a", "MIG-b"], false).unwrap();
    assert_eq!((mode(), slice_holder(&root, "MIG-a", &kernel_locks()).is_some()), (0o600, true));
    file.unlock().unwrap();
    let_users_hold(&root, ["MIG-a", "MIG-b"], false).unwrap();
    assert!(!path.exists() && !root.path(Root::SLICES).join("MIG-b").exists());
    // Whoever opened it before locks a file that nobody looks at.
    file.lock().unwrap();
    let lock = Lock::slice(&root, "MIG-a").unwrap();
    assert_eq!(
        (mode(), slice_holder(&root, "MIG-a", &kernel_locks())),
        (0o600, Some(SliceHolder::Run(std::process::id())))
    );
    drop(lock);
    assert!(soon(|| slice_holder(&root, "MIG-a", &kernel_locks()).is_none()));
}

/// `flock FILE sh -c 'sleep &'` leaves a holder behind whose number is not the one the kernel tells.
#[test]
fn a_process_that_is_gone_is_not_named() {
    let (_directory, root) = place();
    let_users_hold(&root, ["MIG-a"], true).unwrap();
    let path = root.path(Root::SLICES).join("MIG-a");
    let mut gone = std::process::Command::new("flock")
        .arg(&path)
        .args(["sh", "-c", "sleep 60 >/dev/null & echo $!"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut sleeper = String::new();
    gone.stdout.take().unwrap().read_to_string(&mut sleeper).unwrap();
    let taker = gone.id();
    gone.wait().unwrap();
    let seen = slice_holder(&root, "MIG-a", &kernel_locks());
    let sleeper: u32 = sleeper.trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(sleeper as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_ne!(taker, sleeper);
    assert_eq!(seen, Some(SliceHolder::Other(sleeper)));
}

/// flock(2) is what takers exclude each other by, and a look must not hold it for a moment.
#[test]
fn looking_takes_nothing() {
    let (_directory, root) = place();
    drop(Lock::node(&root).unwrap());
    let path = root.path(Root::LOCK);
    let other = File::open(&path).unwrap();
    other.lock().unwrap();
    assert_eq!(node_holder(&root), None, "a lock of others is none of a gresgen");
    let error = Lock::node(&root).unwrap_err().to_string();
    assert!(error.ends_with(&format!("held by process {}", std::process::id())), "{error}");
    drop(other);
    // A process that another test starts has the file open, too, until its exec.
    let patience = std::time::Duration::from_secs(10);
    let take = || Lock::node(&root);
    let lock = crate::wait::until(patience, patience / 1000, &Default::default(), take).unwrap();
    assert_eq!((node_holder(&root), node_holder(&root)), (Some(std::process::id()), node_holder(&root)));
    drop(lock);
}

#[test]
fn a_number_that_somebody_else_has_now_is_not_named() {
    let (_directory, root) = place();
    let lock = Lock::node(&root).unwrap();
    // Process 1 does not have this file open.
    std::fs::write(root.path(Root::LOCK), "1").unwrap();
    assert_eq!(node_holder(&root), Some(std::process::id()));
    drop(lock);
}

#[test]
fn lock_files_are_roots_alone_and_no_links() {
    let (directory, root) = place();
    let path = root.path(Root::LOCK);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    std::fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o777)).unwrap();
    drop(Lock::node(&root).unwrap());
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o7777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o755));
    let victim = directory.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    std::fs::remove_file(&path).unwrap();
    symlink(&victim, &path).unwrap();
    assert!(matches!(Lock::node(&root), Err(LockError::Io { .. })));
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
}
