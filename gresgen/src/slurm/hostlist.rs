//! Host lists: `n[01-03,7],login` and the names it stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A text that is no host list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("host list {text:?}: {what}")]
pub struct HostlistError {
    /// The text as given, cut where it is long.
    pub text: String,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Most names one host list may stand for here; Slurm's own limit on one bracket is 65536 (`MAX_RANGE`,
/// src/common/hostlist.c).
pub const MAX_NAMES: usize = 65536;

/// Most bytes of a name.
const MAX_NAME: usize = 255;

/// Whether a name is one that host lists can hold and that means one node: `NodeName=DEFAULT` says something about
/// all lines after it (Slurm src/common/read_config.c, `_parse_nodename`), and `Nodes=ALL` is every node, in any case
/// of letters. It is no longer than the name of a host can be (RFC 1035, 2.3.4); Slurm's own lists print none of 80 bytes and more
/// (`_hostrange_string`, src/common/hostlist.c).
pub fn is_name(name: &str) -> bool {
    let kept = ["DEFAULT", "ALL"].iter().any(|word| name.eq_ignore_ascii_case(word));
    (1..=MAX_NAME).contains(&name.len())
        && !kept
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// The shortest host list of these names in one pair of brackets per prefix; numbers in order, repeats once.
///
/// Only numbers of one spelling share a range (`n1` and `n01` are two nodes).
pub fn fold<'a, T: AsRef<str> + ?Sized + 'a>(names: impl IntoIterator<Item = &'a T>) -> String {
    let mut groups: BTreeMap<&str, Vec<(usize, u64)>> = BTreeMap::new();
    let mut plain: Vec<&str> = Vec::new();
    for name in names.into_iter().map(AsRef::as_ref) {
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
            [(width, number)] => format!("{prefix}{number:0width$}"),
            many => format!("{prefix}[{}]", ranges(many)),
        });
    }
    parts.join(",")
}

/// The number at the end of a name, behind the width of its digits: `n007` has 7 in a width of 3. A width counts only where there are leading zeros, so that `n9` and `n10`
/// share a range as Slurm lets them. Longer numbers stay part of the name.
fn split(name: &str) -> Option<(&str, (usize, u64))> {
    let at = name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (prefix, digits) = name.split_at(at);
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let width = if digits.starts_with('0') { digits.len() } else { 1 };
    Some((prefix, (width, digits.parse().ok()?)))
}

/// Widths and numbers in order.
fn ranges(numbers: &[(usize, u64)]) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let Some(&(width, first)) = rest.first() {
        let length = rest.iter().zip(first..).take_while(|(n, due)| **n == (width, *due)).count();
        let (_, last) = rest[length - 1];
        if !text.is_empty() {
            text.push(',');
        }
        let _ = match length {
            1 => write!(text, "{first:0width$}"),
            _ => write!(text, "{first:0width$}-{last:0width$}"),
        };
        rest = &rest[length..];
    }
    text
}

/// The names a host list stands for, in the order that `scontrol show hostnames` prints them.
///
/// Read as Slurm reads it (src/common/hostlist.c, `_next_tok`, `_hostlist_create_bracketed`, `_push_range_list`):
/// names stand apart by commas and blanks, of which several are as good as one; a name may have several pairs of
/// brackets; numbers are as wide as the first of their range is written; a range that ends in its dash is its first
/// number. Text behind the last bracket is read since 23.11, and 22.05 takes such a list for none.
///
/// # Errors
/// [`HostlistError`] for brackets that do not match, ranges that run backwards, names with other characters
/// than letters, digits, `.`, `_` and `-`, names that Slurm keeps for itself, no names at all, and more than
/// [`MAX_NAMES`] of them.
pub fn expand(text: &str) -> Result<Vec<String>, HostlistError> {
    let names = unfold(text)?;
    if names.iter().all(|n| is_name(n)) {
        Ok(names)
    } else {
        Err(error(
            text,
            "a name has characters that node names cannot have, is too long, or is DEFAULT or ALL",
        ))
    }
}

/// Whether a host list names a node, without a look at each of the names that it stands for. One that cannot be read names
/// none.
pub fn has(list: &str, node: &str) -> bool {
    let (mut found, mut names) = (false, 0);
    for token in tokens(list) {
        let Some(pieces) = pieces(token).ok().filter(|pieces| are_names(pieces)) else { return false };
        let Ok(more) = count(token, &pieces, MAX_NAMES - names) else { return false };
        names += more;
        found = found || stands_for(&pieces, node);
    }
    found
}

/// Whether what a part stands for are names as of [`is_name`]. With a number in it, none is a word that Slurm keeps.
fn are_names(pieces: &[Piece<'_>]) -> bool {
    match pieces {
        [Piece::Text(name)] => is_name(name),
        pieces => pieces.iter().all(|piece| match piece {
            Piece::Text(text) => text.is_empty() || is_name(&format!("{text}0")),
            Piece::Numbers(_) => true,
        }),
    }
}

/// Whether one of the names that a part stands for is this one.
fn stands_for(pieces: &[Piece<'_>], name: &str) -> bool {
    // Up to where in the name the pieces so far may reach: where numbers end is not written.
    let mut ends = BTreeSet::from([0]);
    for piece in pieces {
        ends = ends
            .into_iter()
            .flat_map(|end| {
                let rest = &name[end..];
                let lengths: Vec<usize> = match piece {
                    Piece::Text(text) => rest.starts_with(text).then_some(text.len()).into_iter().collect(),
                    Piece::Numbers(ranges) => {
                        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                        let is_one = |length: &usize| ranges.iter().any(|range| range.has(&rest[..*length]));
                        (1..=digits).filter(is_one).collect()
                    }
                };
                lengths.into_iter().map(move |length| end + length)
            })
            .collect();
    }
    ends.contains(&name.len())
}

/// The texts a host list stands for, whatever characters they have: device files are listed the same way
/// (gres.conf(5), File).
///
/// # Errors
/// [`HostlistError`], as [`expand`].
pub fn unfold(text: &str) -> Result<Vec<String>, HostlistError> {
    let mut names = Vec::new();
    for token in tokens(text) {
        unfold_token(token, &mut names).map_err(|what| error(text, what))?;
    }
    if names.is_empty() { Err(error(text, "names nothing")) } else { Ok(names) }
}

/// The list without some names: tokens that have none of them stay as they are written. `None` where nothing is
/// left.
///
/// # Errors
/// [`HostlistError`], as [`unfold`].
pub fn without(text: &str, gone: impl Fn(&str) -> bool) -> Result<Option<String>, HostlistError> {
    let mut left: Vec<String> = Vec::new();
    for token in tokens(text) {
        let mut names = Vec::new();
        unfold_token(token, &mut names).map_err(|what| error(text, what))?;
        let all = names.len();
        names.retain(|name| !gone(name));
        if names.len() == all {
            left.push(token.to_owned());
        } else if !names.is_empty() {
            left.push(fold(&names));
        }
    }
    Ok((!left.is_empty()).then(|| left.join(",")))
}

fn error(text: &str, what: &'static str) -> HostlistError {
    // Lists come from files of others: the message shows where one begins, not all of it.
    const SHOWN: usize = 120;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    HostlistError { text: shown, what }
}

/// Splits at commas and blanks outside brackets; empty parts are none.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    let parts = text.split(move |c: char| {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        !inside && matches!(c, ',' | ' ' | '\t' | '\n')
    });
    parts.filter(|part| !part.is_empty())
}

/// A piece of a name: a text, or the numbers that one pair of brackets stands for.
enum Piece<'a> {
    Text(&'a str),
    Numbers(Vec<Range>),
}

/// Numbers that follow each other.
struct Range {
    first: u64,
    last: u64,
    /// As wide as they are written at least.
    width: usize,
}

impl Range {
    fn count(&self) -> usize {
        (self.last - self.first) as usize + 1
    }

    fn written(&self) -> impl Iterator<Item = String> {
        (self.first..=self.last).map(|number| format!("{number:0width$}", width = self.width))
    }

    /// Whether it is so that one of them is written.
    fn has(&self, digits: &str) -> bool {
        let as_wide = digits.len() == self.width || digits.len() > self.width && !digits.starts_with('0');
        as_wide && digits.parse().is_ok_and(|number| (self.first..=self.last).contains(&number))
    }
}

/// Most bytes that the names of one part may have together.
const MAX_BYTES: usize = 16 << 20;

const TOO_MANY: &str = "stands for too many names";

/// How many names a part stands for, `room` of them at most: counted before any is made, for a few brackets, or a long text
/// before one, are more than memory holds.
fn count(token: &str, pieces: &[Piece<'_>], room: usize) -> Result<usize, &'static str> {
    let numbers = pieces.iter().map(|piece| match piece {
        Piece::Text(_) => 1,
        Piece::Numbers(ranges) => ranges.iter().map(Range::count).sum(),
    });
    let count: usize = numbers.product();
    let fits = count <= room && count.saturating_mul(token.len()) <= MAX_BYTES;
    if fits { Ok(count) } else { Err(TOO_MANY) }
}

fn unfold_token(token: &str, names: &mut Vec<String>) -> Result<(), &'static str> {
    let pieces = pieces(token)?;
    let count = count(token, &pieces, MAX_NAMES - names.len())?;
    // What each piece may be, in order.
    let choices: Vec<Vec<String>> = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => vec![(*text).to_owned()],
            Piece::Numbers(ranges) => ranges.iter().flat_map(Range::written).collect(),
        })
        .collect();
    let numbered = pieces.iter().enumerate().filter(|(_, piece)| matches!(piece, Piece::Numbers(_)));
    let numbered: Vec<usize> = numbered.map(|(at, _)| at).collect();
    // Slurm turns the last pair fastest, and of those before it the first (`_push_range_list` calls itself).
    let last = numbered.len().saturating_sub(1);
    let fastest_first: Vec<usize> = numbered[last..].iter().chain(&numbered[..last]).copied().collect();
    let mut turned = vec![0; pieces.len()];
    for mut number in 0..count {
        for &at in &fastest_first {
            turned[at] = number % choices[at].len();
            number /= choices[at].len();
        }
        names.push(choices.iter().zip(&turned).map(|(choices, &number)| choices[number].as_str()).collect());
    }
    Ok(())
}

fn pieces(token: &str) -> Result<Vec<Piece<'_>>, &'static str> {
    let mut pieces = Vec::new();
    let (mut rest, mut room) = (token, MAX_NAMES);
    while let Some((text, inside)) = rest.split_once('[') {
        let (list, after) = inside.split_once(']').ok_or("a bracket is not closed")?;
        if text.contains(']') || list.contains('[') {
            return Err("brackets do not match");
        }
        let (mut ranges, mut numbers) = (Vec::new(), 0);
        for text in list.split(',') {
            let range = range(text, room - numbers)?;
            numbers += range.count();
            ranges.push(range);
        }
        // Each pair multiplies the names of those before it.
        room /= numbers;
        pieces.extend([Piece::Text(text), Piece::Numbers(ranges)]);
        rest = after;
    }
    if rest.contains(']') {
        return Err("brackets do not match");
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn range(text: &str, room: usize) -> Result<Range, &'static str> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let number = |digits: &str| {
        let plain = digits.len() <= 18 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| plain).ok_or("a range holds something that is no number")
    };
    let first = number(low)?;
    let last = if high.is_empty() { first } else { number(high)? };
    if last < first {
        return Err("a range runs backwards");
    }
    if last - first >= room as u64 {
        return Err(TOO_MANY);
    }
    Ok(Range { first, last, width: low.len() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_no_longer_than_that_of_a_host() {
        assert!(is_name(&"n".repeat(255)) && !is_name(&"n".repeat(256)) && !is_name(""));
        assert!(!has(&"n".repeat(256), &"n".repeat(256)));
    }

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
        assert_eq!(expand("deep-chungus-1, a  b,\t").unwrap().join(" "), "deep-chungus-1 a b");
        assert_eq!(
            expand("x[1-2]y[3-4]z[05-]").unwrap().join(" "),
            "x1y3z05 x2y3z05 x1y4z05 x2y4z05",
            "as Slurm 22.05.8 prints them"
        );
    }

    #[test]
    fn what_memory_does_not_hold_is_counted_first() {
        for text in [
            format!("n{}", "[0-65535]".repeat(5000)),
            format!("n{}", "[0-1]".repeat(17)),
            format!("{}[0-65535]", "n".repeat(1 << 20)),
            "n[0-65535],".repeat(2),
        ] {
            assert_eq!(unfold(&text).unwrap_err().what, TOO_MANY, "{}", &text[..20]);
        }
        assert_eq!(unfold(&format!("n{}", "[7]".repeat(5000))).unwrap().len(), 1);
        assert_eq!(unfold("n[0-65535]").unwrap().len(), MAX_NAMES);
    }

    #[test]
    fn a_list_loses_names_and_keeps_its_spelling() {
        let without = |text: &str, gone: &str| without(text, |name| name == gone).unwrap();
        assert_eq!(without("node[01-05]", "node01").unwrap(), "node[02-05]");
        assert_eq!(without("a[1-3],b[7-9]x,c", "a2").unwrap(), "a[1,3],b[7-9]x,c");
        assert_eq!(without("r[0-1]n[0-2]", "r0n1").unwrap(), "r0n[0,2],r1n[0-2]");
        assert_eq!(without("n[01-10]", "n1").unwrap(), "n[01-10]");
        assert_eq!(without("n1,", "n1"), None);
    }

    #[test]
    fn what_is_no_host_list_is_refused() {
        let errors: Vec<String> = [
            "",
            ",",
            "n[1-2",
            "n1]",
            "n[2-1]",
            "n[a]",
            "n[[1]]",
            "n/1",
            "n[0-70000]",
            "n[]",
            "Default",
            "n1,ALL",
            "a[0-999].b[0-999]",
            "n[-1]",
            "n[1,,2]",
        ]
        .iter()
        .map(|t| expand(t).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(errors.join("\n"));
    }

    proptest! {
        #[test]
        fn folding_loses_nothing(names in proptest::collection::btree_set("(n|gpu-|r1n|x)[0-9]{0,4}", 1..60)) {
            let folded = fold(&names);
            let back: Vec<String> = expand(&folded).unwrap();
            prop_assert_eq!(back.len(), names.len());
            prop_assert_eq!(back.into_iter().collect::<BTreeSet<_>>(), names);
        }

        #[test]
        fn no_text_panics(text in "[a-z0-9\\[\\],-]{0,20}") {
            let _ = expand(&text);
        }

        #[test]
        fn a_list_has_what_it_stands_for(
            parts in proptest::collection::vec("[ab01]{0,2}(\\[[01]{0,2}[0-9](-[0-9]{0,3})?(,[0-9]{1,2})?\\][b1]?){0,3}[/,]?", 1..4),
            node in "[ab01]{0,2}[0-9]{0,4}[ab1]?",
            any in any::<prop::sample::Index>(),
        ) {
            let list = parts.concat();
            let names = expand(&list).unwrap_or_default();
            prop_assert_eq!(has(&list, &node), names.contains(&node), "{} {}", list, node);
            if !names.is_empty() {
                prop_assert!(has(&list, &names[any.index(names.len())]), "{}", list);
            }
        }
    }
}
