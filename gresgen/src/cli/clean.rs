//! What a terminal obeys is taken out of everything that is printed.
//!
//! Names of jobs, reasons, inventories of other nodes and strings of the driver are written by others, and root's
//! terminal would do what stands in them: retitle itself, hide lines, answer with typed text.

use std::borrow::Cow;

use crate::words::turns_text;

/// Whether a terminal, or whoever reads on it, is led by a character instead of shown it: control characters but the
/// end of a line and the tab, those that end a line elsewhere, and those that turn the direction of text.
pub(super) fn is_obeyed(c: char) -> bool {
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    (c.is_control() && c != '\n' && c != '\t') || turns_text(c) || breaks
}

/// The text with a sign in place of each such character.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains(is_obeyed) { text.replace(is_obeyed, "\u{FFFD}").into() } else { Cow::Borrowed(text) }
}

/// JSON with such characters as escapes. serde_json escapes those below blank, and they stand in strings alone.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) { escaped.push_str(&format!("\\u{:04x}", u32::from(c))) } else { escaped.push(c) }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_as_a_sign() {
        let title = "n2\u{1b}]0;pwned\u{7}\u{9b}31m\u{202e}x\u{2066}\ty\r\nz\u{7f}";
        assert_eq!(
            text(title),
            "n2\u{fffd}]0;pwned\u{fffd}\u{fffd}31m\u{fffd}x\u{fffd}\ty\u{fffd}\nz\u{fffd}"
        );
        assert!(matches!(text("Größe 1g.5gb → 7\n"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn json_stays_what_it_says(value in "\\PC{0,20}[\u{7f}-\u{9f}\u{2028}\u{202e}\u{2069}\u{1b}]{0,3}\\PC{0,5}") {
            let written = serde_json::to_string(&value).unwrap();
            let cleaned = json(&written);
            prop_assert!(!cleaned.contains(is_obeyed));
            prop_assert_eq!(serde_json::from_str::<String>(&cleaned).unwrap(), value);
        }
    }
}
