//! docs/beliefs.md and SECURITY.md name tests and files that there are, and every belief has a source and whoever would
//! notice.

use crate::checkout;

fn text(path: &str) -> String {
    std::fs::read_to_string(checkout().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// A test as these documents name it.
fn test_of(word: &str) -> Option<(&str, &str)> {
    let (file, function) = word.split_once("::")?;
    file.ends_with(".rs").then_some((file, function))
}

/// Whether the function stands in the file as a test.
fn is_test(source: &str, function: &str) -> bool {
    let line = format!("fn {function}()");
    let attributes = source.split(&line).next().filter(|before| before.len() < source.len());
    let last = attributes.and_then(|before| before.rfind("#[test]").map(|at| &before[at..]));
    last.is_some_and(|between| !between.contains('}'))
}

/// Files of Slurm, NVIDIA and Linux begin with none of these.
fn is_of_the_checkout(word: &str) -> bool {
    let first = word.split_once('/').map_or("", |(first, _)| first);
    !first.is_empty() && !word.contains(' ') && checkout().join(first).is_dir()
}

#[test]
fn tests_and_files_that_are_named_exist() {
    let mut named = 0;
    for document in ["docs/beliefs.md", "SECURITY.md", "CONTRIBUTING.md"] {
        let text_of_it = text(document);
        for word in code(&text_of_it) {
            if let Some((file, function)) = test_of(word) {
                assert!(is_test(&text(file), function), "{document}: {word}: no such test");
                named += 1;
            } else if is_of_the_checkout(word) && !word.contains('*') {
                assert!(checkout().join(word).exists(), "{document}: {word}: no such file");
            }
        }
    }
    assert!(named >= 60, "{named} tests are named");
    assert!(is_test("#[test]\nfn a() {", "a") && !is_test("#[test]\nfn a() {}\nfn b() {", "b"));
}

#[test]
fn every_belief_has_a_source_and_a_judge() {
    let beliefs = text("docs/beliefs.md");
    let rows = beliefs.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let rows: Vec<&str> = rows.filter(|line| !line.starts_with("| belief ")).collect();
    assert!(rows.len() >= 40, "{} beliefs", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [belief, source, noticed] = cells[..] else { panic!("{row}: not three cells") };
        assert!(!belief.is_empty() && !source.is_empty(), "{row}: a belief and its source");
        let open = noticed.starts_with("no test ") || noticed.starts_with("no judge: ");
        assert!(open || code(noticed).any(|word| test_of(word).is_some()), "{belief}: who would notice?");
    }
}
