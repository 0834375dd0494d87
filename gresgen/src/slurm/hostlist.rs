//! Host lists: `n[01-03,7],login` and the names it stands for.

use std::collections::BTreeMap;
use std::fmt::Write;

/// A text that is no host list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("host list {text:?}: {what}")]
pub struct HostlistError {
    /// The text as given.
    pub text: String,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Most names one host list may stand for here; Slurm's own limit on one bracket is 65536 (`MAX_RANGE`,
/// src/common/hostlist.c).
pub const MAX_NAMES: usize = 65536;

/// A name's number at its end, as digits: `n007` has 7 in a width of 3.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Numbered {
    width: usize,
    number: u64,
}

/// Whether a name is one that host lists can hold.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// The shortest host list of these names in one pair of brackets per prefix; numbers in order, repeats once.
///
/// Only numbers of one spelling share a range (`n1` and `n01` are two nodes).
pub fn fold<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut groups: BTreeMap<&str, Vec<Numbered>> = BTreeMap::new();
    let mut plain: Vec<&str> = Vec::new();
    for name in names {
        match split(name) {
            Some((prefix, numbered)) => groups.entry(prefix).or_default().push(numbered),
            None => plain.push(name),
        }
    }
    plain.sort_unstable();
    plain.dedup();
    let mut parts: Vec<String> = plain.into_iter().map(str::to_owned).collect();
    for (prefix, mut numbers) in groups {
        numbers.sort_unstable();
        numbers.dedup();
        parts.push(match &numbers[..] {
            [one] => format!("{prefix}{:0w$}", one.number, w = one.width),
            many => format!("{prefix}[{}]", ranges(many)),
        });
    }
    parts.join(",")
}

/// The number at the end of a name. A width counts only where there are leading zeros, so that `n9` and `n10`
/// share a range as Slurm lets them. Longer numbers stay part of the name.
fn split(name: &str) -> Option<(&str, Numbered)> {
    let at = name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (prefix, digits) = name.split_at(at);
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let width = if digits.starts_with('0') { digits.len() } else { 1 };
    Some((prefix, Numbered { width, number: digits.parse().ok()? }))
}

fn ranges(numbers: &[Numbered]) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let Some(first) = rest.first() {
        let length = rest
            .iter()
            .zip(first.number..)
            .take_while(|(n, due)| n.width == first.width && n.number == *due)
            .count();
        let last = &rest[length - 1];
        if !text.is_empty() {
            text.push(',');
        }
        let width = first.width;
        let _ = match length {
            1 => write!(text, "{:0width$}", first.number),
            _ => write!(text, "{:0width$}-{:0width$}", first.number, last.number),
        };
        rest = &rest[length..];
    }
    text
}

/// The names a host list stands for, in its order.
///
/// # Errors
/// [`HostlistError`] for brackets that do not match, ranges that run backwards, names with other characters
/// than letters, digits, `.`, `_` and `-`, and more than [`MAX_NAMES`] names.
pub fn expand(text: &str) -> Result<Vec<String>, HostlistError> {
    let fail = |what| HostlistError { text: text.to_owned(), what };
    let mut names = Vec::new();
    for part in parts(text).map_err(fail)? {
        let (prefix, rest) = part.split_once('[').unwrap_or((part, ""));
        if rest.is_empty() {
            names.push(prefix.to_owned());
        } else {
            let (inside, suffix) = rest.split_once(']').ok_or_else(|| fail("a bracket is not closed"))?;
            if suffix.contains(['[', ']']) {
                return Err(fail("more than one pair of brackets in a name is not read here"));
            }
            for range in inside.split(',') {
                let room = MAX_NAMES - names.len();
                names.extend(
                    numbers(range, room).map_err(fail)?.iter().map(|n| format!("{prefix}{n}{suffix}")),
                );
            }
        }
        if names.len() > MAX_NAMES {
            return Err(fail("stands for too many names"));
        }
    }
    match names.iter().all(|n| is_name(n)) {
        true => Ok(names),
        false => Err(fail("a name is empty or has characters that node names cannot have")),
    }
}

/// Splits at commas outside brackets.
fn parts(text: &str) -> Result<Vec<&str>, &'static str> {
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match (c, inside) {
            ('[', false) => inside = true,
            (']', true) => inside = false,
            ('[', true) | (']', false) => return Err("brackets do not match"),
            (',', false) => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    if inside { Err("a bracket is not closed") } else { Ok(parts) }
}

fn numbers(range: &str, room: usize) -> Result<Vec<String>, &'static str> {
    let (low, high) = range.split_once('-').unwrap_or((range, range));
    let number = |digits: &str| {
        let plain = digits.len() <= 9 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| plain).ok_or("a range holds something that is no number")
    };
    let (first, last) = (number(low)?, number(high)?);
    if last < first {
        return Err("a range runs backwards");
    }
    if last - first >= room as u64 {
        return Err("stands for too many names");
    }
    Ok((first..=last).map(|n| format!("{n:0w$}", w = low.len())).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_fold_by_prefix() {
        for (names, folded) in [
            (&["n1"][..], "n1"),
            (&["n2", "n1", "n3", "n1"], "n[1-3]"),
            (&["n9", "n10", "n11"], "n[9-11]"),
            (&["n08", "n09", "n10"], "n[10,08-09]"),
            (&["n1", "n01", "n001"], "n[1,01,001]"),
            (&["a1", "b1", "login"], "login,a1,b1"),
            (&["n1", "n3", "n4", "n7"], "n[1,3-4,7]"),
            (&["r1n1", "r1n2", "r2n1"], "r1n[1-2],r2n1"),
        ] {
            assert_eq!(fold(names.iter().copied()), folded);
        }
    }

    #[test]
    fn lists_expand_in_their_order() {
        assert_eq!(
            expand("n[3,01-02],login,gpu-a[9-10]x").unwrap().join(" "),
            "n3 n01 n02 login gpu-a9x gpu-a10x"
        );
    }

    #[test]
    fn what_is_no_host_list_is_refused() {
        let errors: Vec<String> =
            ["", "n[1-2", "n1]", "n[2-1]", "n[a]", "n[1-2][3]", "n,", "n 1", "n[0-70000]", "n[]"]
                .iter()
                .map(|t| expand(t).unwrap_err().to_string())
                .collect();
        insta::assert_snapshot!(errors.join("\n"));
    }

    proptest! {
        #[test]
        fn folding_loses_nothing(names in proptest::collection::btree_set("(n|gpu-|r1n|x)[0-9]{0,4}", 1..60)) {
            let folded = fold(names.iter().map(String::as_str));
            let back: Vec<String> = expand(&folded).unwrap();
            prop_assert_eq!(back.len(), names.len());
            prop_assert_eq!(back.into_iter().collect::<BTreeSet<_>>(), names);
        }

        #[test]
        fn no_text_panics(text in "[a-z0-9\\[\\],-]{0,20}") {
            let _ = expand(&text);
        }
    }
}
