//! Words of messages: how many, and what somebody meant who wrote something else.

use std::collections::BTreeSet;
use std::fmt::Display;

use strsim::damerau_levenshtein;

use crate::cores::ranges;

/// `1 GPU`, `2 GPUs`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// `GPU 3`, `GPUs 0-2,5`: GPUs by their indexes.
pub(crate) fn named_gpus(indexes: impl IntoIterator<Item = u32>) -> String {
    let indexes: BTreeSet<u32> = indexes.into_iter().collect();
    format!("{} {}", if indexes.len() == 1 { "GPU" } else { "GPUs" }, ranges(&indexes))
}

/// Seconds for people: `40 s`, `25 min`, `7 h`, `3 days`.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        7200..172_800 => format!("{} h", seconds.div_ceil(3600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    }
}

/// The first of many, for a phrase: `a, b and 3 more`.
pub(crate) fn few<T: Display>(items: &[T], most: usize) -> String {
    let shown: Vec<String> = items.iter().take(most).map(T::to_string).collect();
    match items.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Whether a character turns the direction of the text around it (Unicode 16, chapter 23.2 and UAX #9).
pub(crate) fn turns_text(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{61C}')
}

/// The candidate that is spelled most like a word, where one is: no more than a third of its signs are others.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Of a word of one or two signs anything could be meant.
    let word = Some(word.to_lowercase()).filter(|word| word.chars().count() > 2)?;
    let far = |candidate: &&str| damerau_levenshtein(&word, &candidate.to_lowercase());
    let best = candidates.into_iter().min_by_key(far)?;
    (far(&best) <= (word.chars().count() / 3).max(1)).then_some(best)
}

/// `, did you mean mixed?` or nothing, to stand behind the word.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|near| format!(", did you mean {near}?")).unwrap_or_default()
}

/// The same, or a comma: to stand between an unknown word and those that are known.
pub(crate) fn did_you_mean_of<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    Some(did_you_mean(word, known)).filter(|question| !question.is_empty()).unwrap_or_else(|| ",".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_not_another_word() {
        let keys = ["mig-enabled", "mig-devices", "devices", "per"];
        for (word, meant) in [
            ("mig-enabeld", Some("mig-enabled")),
            ("mig_devices", Some("mig-devices")),
            ("Device", Some("devices")),
            ("pre", Some("per")),
            ("enabled", None),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, keys), meant, "{word}");
        }
        assert_eq!(nearest("x", []), None);
    }
}
