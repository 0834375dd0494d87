//! Which version program and plugin are of, and whether they are of one.

/// The version, with the commit in parentheses where the builder named it in `GRESGEN_GIT_ID`: `0.2.0 (07ba5fe1a)`.
pub const VERSION: &str = env!("GRESGEN_VERSION");

/// What the plugin says of itself in slurmd's log; one text, so that `strings spank_mig.so` shows it, too.
pub const PLUGIN: &str = concat!("spank_mig ", env!("GRESGEN_VERSION"));

/// Whether two texts like [`VERSION`] are of one version. A build that names no commit is of any.
pub fn is_same(one: &str, other: &str) -> bool {
    let parts = |text: &'_ str| match text.split_once(' ') {
        Some((version, commit)) => (version.to_owned(), Some(commit.to_owned())),
        None => (text.to_owned(), None),
    };
    let ((version, commit), (other_version, other_commit)) = (parts(one), parts(other));
    let known = commit.zip(other_commit);
    version == other_version && known.is_none_or(|(commit, other)| commit == other)
}

#[test]
fn versions_differ_by_number_and_by_commit_where_both_have_one() {
    assert!(is_same("1.0.0", "1.0.0") && is_same("1.0.0 (a)", "1.0.0 (a)") && is_same("1.0.0 (a)", "1.0.0"));
    assert!(!is_same("1.0.0", "1.0.1") && !is_same("1.0.0 (a)", "1.0.0 (a-dirty)") && !is_same("", VERSION));
    assert!(is_same(PLUGIN.strip_prefix("spank_mig ").unwrap(), VERSION));
}
