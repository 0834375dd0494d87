//! Lines of Slurm's configuration files as its own parser takes them (src/common/parse_config.c).
//!
//! A line ends at its comment before anything else is looked at, then a last backslash joins it with the next one,
//! and what is left is read as `key=value` words. Files are bytes: names and comments in any encoding are the site's.

/// One line as Slurm reads it, which may be several of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its first line in the file, from 1.
    pub number: usize,
    /// The lines of the file, with their ends.
    pub raw: &'a [u8],
    /// What is left without comments, continuations and escapes; bytes that are no UTF-8 are replaced.
    pub code: String,
}

impl Line<'_> {
    /// Its `key=value` words, see [`pairs`].
    pub fn pairs(&self) -> Vec<(String, String)> {
        pairs(&self.code)
    }

    /// Whether Slurm reads all of it: a word that is no pair, or stands behind an included file, ends the daemon that reads
    /// it (`s_p_parse_file`).
    pub fn is_read(&self) -> bool {
        if self.include().is_some() {
            return self.code.split(is_space).filter(|word| !word.is_empty()).count() == 2;
        }
        let mut rest = self.code.as_str();
        while let Some((_, _, after)) = pair(rest) {
            rest = after;
        }
        rest.chars().all(is_space)
    }

    /// Its comments, each from its `#` to the end of its line in the file.
    pub fn comments(&self) -> impl Iterator<Item = &[u8]> {
        let comments = self.raw.split(|&byte| byte == b'\n').map(|line| split(line).1.trim_ascii_end());
        comments.filter(|comment| !comment.is_empty())
    }

    /// Whether [`Line::code`] is what stands there, byte for byte but for comments and continuations: no byte of it was no
    /// UTF-8, none is behind a NUL, and no backslash hid another sign.
    pub fn is_exact(&self) -> bool {
        let parts = self.raw.split(|&byte| byte == b'\n').map(|line| split(line).0);
        let is_text = |part: &[u8]| std::str::from_utf8(part).is_ok();
        !self.raw.contains(&0) && parts.into_iter().all(is_text) && !self.code.contains(['#', '\\'])
    }

    /// The file that an `include` names (`_parse_include_directive`): the word after it, in any case.
    pub fn include(&self) -> Option<&str> {
        let word = self.code.get(..INCLUDE.len()).filter(|word| word.eq_ignore_ascii_case(INCLUDE))?;
        let rest = &self.code[word.len()..];
        rest.starts_with(is_space).then(|| rest.split(is_space).find(|part| !part.is_empty())).flatten()
    }
}

const INCLUDE: &str = "include";

/// C's isspace, which is what Slurm asks.
fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\x0b'
}

/// The lines of a file, all of them: their `raw` parts joined are the file.
pub fn lines(text: &[u8]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let (mut start, mut end, mut first, mut number) = (0, 0, 1, 0);
    let mut code: Vec<u8> = Vec::new();
    for part in text.split_inclusive(|&byte| byte == b'\n') {
        number += 1;
        end += part.len();
        let goes_on = take(part, &mut code);
        if !goes_on || end == text.len() {
            let code = String::from_utf8_lossy(&unescaped(&std::mem::take(&mut code))).into_owned();
            lines.push(Line { number: first, raw: &text[start..end], code });
            (start, first) = (end, number + 1);
        }
    }
    lines
}

/// Adds a line of the file to what is read, and says whether the next one belongs to it (`_strip_comments`,
/// `_strip_continuation`).
fn take(line: &[u8], code: &mut Vec<u8>) -> bool {
    // Slurm's strings end at a NUL.
    let line = &line[..line.iter().position(|&byte| byte == 0).unwrap_or(line.len())];
    let (line, _) = split(line);
    let text = line.len() - line.iter().rev().take_while(|&&byte| is_space(char::from(byte))).count();
    let backslashes = line[..text].iter().rev().take_while(|&&byte| byte == b'\\').count();
    let goes_on = backslashes % 2 == 1;
    code.extend_from_slice(if goes_on { &line[..text - 1] } else { line });
    goes_on
}

/// A line of the file up to its comment, and that.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let mut backslashes = 0;
    let comment = line.iter().position(|&byte| {
        let found = byte == b'#' && backslashes % 2 == 0;
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
        found
    });
    line.split_at(comment.unwrap_or(line.len()))
}

/// A backslash stands for the character behind it (`_strip_escapes`).
fn unescaped(code: &[u8]) -> Vec<u8> {
    let mut bytes = code.iter();
    std::iter::from_fn(|| match bytes.next()? {
        b'\\' => bytes.next().copied(),
        byte => Some(*byte),
    })
    .collect()
}

/// The `key=value` words of a line up to the first that is none, keys in lower case because Slurm ignores their
/// case (`keyvalue_pattern`, `s_p_parse_line`).
pub fn pairs(code: &str) -> Vec<(String, String)> {
    words(code).into_iter().map(|(key, value)| (name(&key).to_ascii_lowercase(), value)).collect()
}

/// A key without its operator: `Feature` of `Feature+`.
pub fn name(key: &str) -> &str {
    key.trim_end_matches(OPERATORS)
}

/// What may stand before `=` (`keyvalue_pattern`).
const OPERATORS: [char; 4] = ['-', '*', '+', '/'];

/// The same with keys as they are written, each with its operator.
pub fn words(code: &str) -> Vec<(String, String)> {
    let mut words = Vec::new();
    let mut rest = code;
    while let Some((key, value, after)) = pair(rest) {
        words.push((key, value.to_owned()));
        rest = after;
    }
    words
}

fn pair(text: &str) -> Option<(String, &str, &str)> {
    let text = text.trim_start_matches(is_space);
    let end =
        text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').filter(|&end| end > 0)?;
    let (key, rest) = text.split_at(end);
    let rest = rest.trim_start_matches(is_space);
    let (operator, rest) = rest.split_once('=')?;
    let is_operator = operator.is_empty() || OPERATORS.iter().any(|known| operator == known.to_string());
    let key = is_operator.then(|| format!("{key}{operator}"))?;
    let rest = rest.trim_start_matches(is_space);
    let quoted = rest.strip_prefix('"').and_then(|inside| inside.split_once('"'));
    if let Some((value, after)) = quoted.filter(|(_, after)| after.is_empty() || after.starts_with(is_space))
    {
        return Some((key, value, after));
    }
    let (value, after) = rest.split_at(rest.find(is_space).unwrap_or(rest.len()));
    (!value.is_empty()).then_some((key, value, after))
}

/// The last value of a key, as the last one counts to Slurm.
pub fn value<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn codes(text: &str) -> Vec<(usize, String)> {
        lines(text.as_bytes()).into_iter().map(|line| (line.number, line.code.trim().to_owned())).collect()
    }

    #[test]
    fn comments_go_before_continuations() {
        let text = "a \\   # both boards\n  b\nc # \\\nd \\\\\ne\\#f # g\n\\\n\nh \\\n";
        let due = [(1, "a   b"), (3, "c"), (4, "d \\"), (5, "e#f"), (6, ""), (8, "h")];
        assert_eq!(codes(text), due.map(|(n, code)| (n, code.to_owned())));
    }

    #[test]
    fn words_are_read_as_slurms_pattern_reads_them() {
        let read = |text: &str| {
            let words: Vec<String> = pairs(text).iter().map(|(k, v)| format!("{k}={v}")).collect();
            words.join("|")
        };
        assert_eq!(read(" NodeName = n[1, 2] Name=gpu"), "nodename=n[1,", "a blank ends a value");
        assert_eq!(read("NodeName=\"n1, n2\" Name= gpu Feature+=x"), "nodename=n1, n2|name=gpu|feature=x");
        assert_eq!(read("Reason=\"a b\"c d=e"), "reason=\"a", "a quote that does not end its word is none");
        assert_eq!(read("a=b junk c=d"), "a=b");
        assert_eq!(read("=b"), "");
        assert_eq!(value(&pairs("a=1 A=2"), "a"), Some("2"));
        assert_eq!(
            words("Feature += x A==b"),
            [("Feature+".to_owned(), "x".to_owned()), ("A".to_owned(), "=b".to_owned())]
        );
    }

    #[test]
    fn comments_and_what_code_does_not_say() {
        let text = b"a=b \\ # G\xfcnther\r\n c=d # two \\\n";
        let [line] = &lines(text)[..] else { panic!() };
        let comments: Vec<&[u8]> = line.comments().collect();
        assert_eq!(comments, [&b"# G\xfcnther"[..], b"# two \\"]);
        for (text, due) in [
            (&text[..], true),
            (b"a=b\\\n  c=d\n", true),
            (b"a=\\b\n", true),
            (b"a=\xfc\n", false),
            (b"a=b\0c=d\n", false),
            (b"a=\\# b=c\n", false),
            (b"a=b\\\\ # c\n", false),
        ] {
            assert_eq!(lines(text)[0].is_exact(), due, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_word_that_is_no_pair_is_not_read() {
        for (text, due) in [
            ("", true),
            ("  # x\n", true),
            ("Name=gpu \\\n Count=1\n", true),
            ("include /x # y\n", true),
            ("include /x y\n", false),
            ("\u{feff}Name=gpu\n", false),
            ("Name=gpu \\# x\n", false),
            ("Name=gpu File\n", false),
        ] {
            assert_eq!(lines(text.as_bytes()).iter().all(Line::is_read), due, "{text:?}");
        }
    }

    #[test]
    fn an_include_is_a_word_and_a_file() {
        for (text, file) in [
            ("include a.conf\n", Some("a.conf")),
            ("Include\t/x/y # z\n", Some("/x/y")),
            ("includes a\n", None),
            ("include\n", None),
            (" include a\n", None),
        ] {
            assert_eq!(lines(text.as_bytes())[0].include(), file, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(text in proptest::collection::vec(prop_oneof![
            Just(b'\n'), Just(b'\\'), Just(b'#'), Just(b' '), Just(b'='), any::<u8>()], 0..80)) {
            let lines = lines(&text);
            prop_assert_eq!(lines.iter().flat_map(|line| line.raw.to_vec()).collect::<Vec<u8>>(), text.clone());
            for line in &lines {
                let _ = line.pairs();
            }
        }
    }
}
