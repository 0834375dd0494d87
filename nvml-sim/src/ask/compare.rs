//! Two sets of answers, line by line.

use std::collections::BTreeMap;

/// Lines that may differ between a board and the simulator of it, each with the reason. Every other line has
/// to be the same, and every line has to be there on both sides.
pub const MAY_DIFFER: &[(&str, &str)] = &[
    ("driver", "the release installed there; the simulator has one of its own"),
    ("nvml", "goes with the driver"),
    ("cuda", "goes with the driver"),
    ("count", "how many GPUs the host has"),
    ("Index", "which of them was asked"),
    ("MinorNumber", "which of them was asked"),
    ("BoardId", "made of the PCI address"),
    ("pci address", "the slot of the host"),
    ("cpus near", "the CPUs of the host"),
];

/// How two runs differ, a sentence for each line; none when they agree. Lines that begin with `#` are
/// comments.
pub fn differences(board: &str, simulator: &str) -> Vec<String> {
    let (board, simulator) = (lines(board), lines(simulator));
    let free = |key: &str| MAY_DIFFER.iter().any(|(name, _)| *name == key);
    let keys: std::collections::BTreeSet<&str> = board.keys().chain(simulator.keys()).copied().collect();
    let mut found = Vec::new();
    for key in keys {
        match (board.get(key), simulator.get(key)) {
            (Some(a), Some(b)) if a.len() == 1 && b.len() == 1 => {
                if a != b && !free(key) {
                    found.push(format!("{key}: the board has {:?}, the simulator {:?}", a[0], b[0]));
                }
            }
            (Some(_), None) => found.push(format!("{key}: the simulator has no such line")),
            (None, Some(_)) => found.push(format!("{key}: the board has no such line")),
            _ => found.push(format!("{key}: stands there twice")),
        }
    }
    found
}

/// Values by key; a line without `=` is a key of its own, so that it is not passed over.
fn lines(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut lines: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let (key, value) = line.split_once(" = ").unwrap_or((line, ""));
        lines.entry(key).or_default().push(value);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_lines_may_differ() {
        assert_eq!(differences("# kept\ndriver = 1\nName = A\n", "driver = 2\nName = A\n"), [""; 0]);
        let found = differences("driver = 1\nName = A\n", "driver = 1\nName = B\n");
        assert_eq!(found, ["Name: the board has \"A\", the simulator \"B\""]);
    }

    #[test]
    fn a_line_that_one_side_lacks_is_a_difference_even_if_its_value_may_differ() {
        assert_eq!(differences("driver = 1\nA = 1\n", "A = 1\n"), ["driver: the simulator has no such line"]);
        assert_eq!(differences("A = 1\n", "A = 1\nB = 2\n"), ["B: the board has no such line"]);
        assert_eq!(differences("A = 1\n", "A = 1\nA = 1\n"), ["A: stands there twice"]);
        assert_eq!(differences("A = 1\nrubbish\n", "A = 1\n"), ["rubbish: the simulator has no such line"]);
    }
}
