//! docs/users.md is the page that `render --print users` makes for a node that is cut as examples/config.yaml says.

use crate::checkout;
use crate::plain::plain;

#[test]
fn the_page_for_users_is_that_of_the_example() {
    let directory = tempfile::tempdir().unwrap();
    let gresgen = |arguments: &[&str]| {
        let output = plain(env!("CARGO_BIN_EXE_gresgen"))
            .args(["--simulate", "a100-40gb:2", "--root"])
            .arg(directory.path())
            .arg("--config")
            .arg(checkout().join("examples/config.yaml"))
            .args(arguments)
            .env("SLURMD_NODENAME", "n1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    gresgen(&["-q", "apply"]);
    let page = gresgen(&["render", "--print", "users"]);
    let file = checkout().join("docs/users.md");
    if std::env::var_os("USERS").is_some_and(|value| value == "write") {
        std::fs::write(&file, &page).unwrap();
    }
    let is = std::fs::read_to_string(&file).unwrap();
    assert!(is == page, "docs/users.md is stale: USERS=write cargo test -p gresgen --test docs users");
}
