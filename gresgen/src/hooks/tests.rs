use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use super::*;

struct Place {
    directory: tempfile::TempDir,
    root: Root,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path()).unwrap();
        Place { directory, root }
    }

    fn about(&self, mode: bool) -> HookContext<'_> {
        HookContext { root: &self.root, node: "n1", what: "layout a", layout: Some("a"), mode, boot: false }
    }

    /// A command that notes its name and what it was told.
    fn note(&self, name: &str) -> Command {
        let file = self.directory.path().join("said").display().to_string();
        let script = format!(
            "echo {name} $GRESGEN_HOOK $GRESGEN_NODE $GRESGEN_LAYOUT $MIG_PARTED_SELECTED_CONFIG $SECRET $OWN >> {file}; pwd >> {file}"
        );
        Command { command: "/bin/sh".into(), args: vec!["-c".into(), script], ..Command::default() }
    }

    fn said(&self) -> Vec<String> {
        let text = fs::read_to_string(self.directory.path().join("said")).unwrap_or_default();
        text.lines().filter(|line| *line != "/").map(str::to_owned).collect()
    }
}

fn fails(script: &str) -> Command {
    Command { command: "/bin/sh".into(), args: vec!["-c".into(), script.into()], ..Command::default() }
}

#[test]
fn commands_are_run_around_a_change_with_an_environment_of_their_own() {
    let place = Place::new();
    let mut before = place.note("b");
    before.envs.insert("OWN".into(), "own".into());
    let settings = Settings {
        before: vec![before],
        after: vec![place.note("a")],
        on_failure: vec![place.note("f")],
        ..Settings::default()
    };
    let hooks = Hooks::new(settings, None, &place.root).unwrap();
    hooks.begin(&place.about(false), &Stop::default(), &mut |_| ()).unwrap();
    assert!(hooks.end(false, &place.about(false), &Stop::default()).is_empty());
    assert!(hooks.end(true, &place.about(false), &Stop::default()).is_empty());
    assert_eq!(place.said(), ["b before n1 a a own", "a after n1 a a", "f on-failure n1 a a"]);
}

#[test]
fn a_command_that_fails_or_hangs_ends_it_with_what_it_said() {
    let place = Place::new();
    let error = |command: Command, timeout: Duration| {
        let timeout = Some(timeout);
        let settings =
            Settings { before: vec![command, place.note("never")], timeout, ..Settings::default() };
        Hooks::new(settings, None, &place.root)
            .unwrap()
            .begin(&place.about(false), &Stop::default(), &mut |_| ())
            .unwrap_err()
            .to_string()
    };
    let long = Duration::from_secs(60);
    assert_eq!(
        error(fails("echo one; echo two; echo three; echo four >&2; exit 3"), long),
        "hook before: /bin/sh: failed: two; three; four"
    );
    let start = Instant::now();
    assert_eq!(
        error(fails("sleep 600"), Duration::from_millis(200)),
        "hook before: /bin/sh: not ended after 200ms"
    );
    assert!(start.elapsed() < Duration::from_secs(60));
    assert!(
        error(Command { command: "/nonexistent".into(), ..Command::default() }, long)
            .starts_with("hook before: /nonexistent: ")
    );
    assert!(place.said().is_empty());
}

/// The file that mig-parted installs, with commands that can be run here.
#[test]
fn a_file_of_mig_parted_is_read_as_mig_parted_reads_it() {
    let place = Place::new();
    let said = place.directory.path().join("said").display().to_string();
    let text = format!(
        "version: v1\nhooks:\n    apply-start:\n    - workdir: \"/\"\n      command: \"/bin/bash\"\n      \
         args: [\"-x\", \"-c\", \"echo start ${{MIG_PARTED_SELECTED_CONFIG}} >> {said}\"]\n    pre-apply-mode:\n    \
         - command: \"/bin/bash\"\n      args: [\"-c\", \"echo mode >> {said}\"]\n    pre-apply-config:\n    \
         - command: \"/bin/bash\"\n      args: [\"-c\", \"echo config >> {said}\"]\n    apply-exit:\n    \
         - command: \"/bin/bash\"\n      args: [\"-c\", \"echo exit >> {said}\"]\n"
    );
    let path = place.root.path("/hooks.yaml");
    fs::write(&path, text).unwrap();
    let hooks = || {
        Hooks::new(Settings { file: Some("/hooks.yaml".into()), ..Settings::default() }, None, &place.root)
    };
    hooks().unwrap().begin(&place.about(true), &Stop::default(), &mut |_| ()).unwrap();
    assert!(hooks().unwrap().end(true, &place.about(true), &Stop::default()).is_empty());
    assert_eq!(place.said(), ["start a", "mode", "config", "exit"]);
    hooks().unwrap().begin(&place.about(false), &Stop::default(), &mut |_| ()).unwrap();
    assert_eq!(place.said()[4..], ["start a", "config"]);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(hooks().unwrap_err().to_string().contains("others can write it"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    for (text, due) in [
        ("version: v2\nhooks: {}\n", "is not v1"),
        ("version: v1\nhooks: {pre-aply: []}\n", "pre-aply: no such hook"),
        ("version: v1\nhooks: {apply-exit: [{comand: x}]}\n", "comand"),
    ] {
        fs::write(&path, text).unwrap();
        let error = hooks().unwrap_err().to_string();
        assert!(error.contains("hooks.yaml: ") && error.contains(due), "{error}");
    }
}

#[test]
fn a_command_has_ended_when_its_process_has_and_its_daemons_go_on() {
    let place = Place::new();
    let fifo = place.directory.path().join("fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let daemon = fails(&format!("read x < {} & exit 0", fifo.display()));
    let timeout = Some(Duration::from_secs(60));
    let hooks =
        Hooks::new(Settings { before: vec![daemon], timeout, ..Settings::default() }, None, &place.root);
    hooks.unwrap().begin(&place.about(false), &Stop::default(), &mut |_| ()).unwrap();
    // Its opening ends when the daemon, who opens the other end, is there still.
    let write = || rustix::fs::open(&fifo, rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK, mode);
    crate::wait::until(Duration::from_secs(60), Duration::from_millis(5), &Stop::default(), write).unwrap();
}

#[test]
fn what_a_command_says_is_cut() {
    let place = Place::new();
    let long = fails("head -c 3000000 /dev/zero | tr '\\0' x; exit 1");
    let settings = Settings { before: vec![long], ..Settings::default() };
    let hooks = Hooks::new(settings, None, &place.root).unwrap();
    let error = hooks.begin(&place.about(false), &Stop::default(), &mut |_| ()).unwrap_err().to_string();
    assert_eq!(error, format!("hook before: /bin/sh: failed: {}…", "x".repeat(200)));
    let endless = fails("yes");
    let settings = Settings { before: vec![endless], ..Settings::default() };
    let hooks = Hooks::new(settings, None, &place.root).unwrap();
    let error = hooks.begin(&place.about(false), &Stop::default(), &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("printed more than"), "{error}");
}
