//! A document as its reader works through it: files to write, commands to type, output to expect.
//!
//! * A `sh` block is run, unless a comment `<!-- not run: WHY -->` stands before it. A command that ends with
//!   another code than 0 says so: `gresgen apply   # exit code 6: restart slurmd`.
//! * A `text` block directly after it is its output. A line `...` there stands for any lines, `...` within a line
//!   for any text.
//! * A block after `<!-- file: PATH -->` is written to PATH.
//! * `<!-- unseen: COMMAND -->` is run where it stands: what makes the symptom that the reader came with.

use std::iter::Peekable;

/// What a reader does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Types commands.
    Run { line: usize, commands: Vec<Command>, expected: Option<String> },
    /// Writes a file.
    Write { path: String, text: String },
    /// Cannot be done in a simulated node.
    Excused { line: usize, why: String },
}

/// One command, which may take several lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Where it stands in the document.
    pub(crate) line: usize,
    /// As it is typed.
    pub(crate) text: String,
    /// What it ends with.
    pub(crate) code: i32,
}

/// Languages of blocks that nobody is asked to run.
const SHOWN: [&str; 6] = ["text", "yaml", "json", "ini", "rust", "jinja"];

/// A fenced block.
struct Block {
    line: usize,
    language: String,
    text: String,
    comment: Option<String>,
    /// Whether only blank lines lie between it and the block before.
    adjacent: bool,
}

/// The steps of a document.
///
/// # Errors
/// A block of a language that leaves open whether it is to be run, or a comment nobody understands.
pub(crate) fn steps(markdown: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut blocks = blocks(markdown)?.into_iter().peekable();
    while let Some(block) = blocks.next() {
        let comment =
            block.comment.as_deref().map(|comment| comment.split_once(": ").unwrap_or((comment, "")));
        steps.push(match (block.language.as_str(), comment) {
            (_, Some(("file", path))) => Step::Write { path: path.to_owned(), text: block.text },
            ("sh", Some(("not run", why))) => Step::Excused { line: block.line, why: why.to_owned() },
            ("sh", None) => {
                let expected = output(&mut blocks);
                Step::Run { line: block.line, commands: commands(&block.text, block.line + 1)?, expected }
            }
            (shown, None) if SHOWN.contains(&shown) => continue,
            (language, _) => {
                return Err(format!("line {}: a block of {language:?} with {:?}", block.line, block.comment));
            }
        });
    }
    Ok(steps)
}

fn output(blocks: &mut Peekable<impl Iterator<Item = Block>>) -> Option<String> {
    let next = blocks.next_if(|next| next.adjacent && next.language == "text" && next.comment.is_none());
    next.map(|block| block.text)
}

fn blocks(markdown: &str) -> Result<Vec<Block>, String> {
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    let (mut comment, mut adjacent) = (None, false);
    for (line, number) in markdown.lines().zip(1..) {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (Some((block, indent)), None) => {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
            (Some(_), Some(_)) => {
                found.extend(open.take().map(|(block, _)| block));
                adjacent = true;
            }
            (None, Some(language)) => {
                let language = language.trim().to_owned();
                let block =
                    Block { line: number, language, text: String::new(), comment: comment.take(), adjacent };
                open = Some((block, line.len() - line.trim_start().len()));
            }
            (None, None) if line.trim().is_empty() => {}
            (None, None) => {
                let inner = line.trim().strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
                adjacent = false;
                match inner.and_then(|inner| inner.strip_prefix("unseen: ")) {
                    None => comment = inner.map(str::to_owned),
                    Some(command) => found.push(Block {
                        line: number - 1,
                        language: "sh".to_owned(),
                        text: format!("{command}\n"),
                        comment: None,
                        adjacent,
                    }),
                }
            }
        }
    }
    match open {
        Some((block, _)) => Err(format!("line {}: the block does not end", block.line)),
        None => Ok(found),
    }
}

/// The commands of a block: a line each, or more where it ends with a backslash or opens a here-document.
fn commands(text: &str, first: usize) -> Result<Vec<Command>, String> {
    let mut commands = Vec::new();
    let mut lines = text.lines().zip(first..);
    while let Some((line, number)) = lines.next() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let mut whole = line.to_owned();
        let mut end = here_document(line);
        while whole.ends_with('\\') || end.is_some() {
            let (next, _) = lines.next().ok_or(format!("line {number}: the command does not end"))?;
            whole.push('\n');
            whole.push_str(next);
            end = end.filter(|word| word != next);
        }
        commands.push(Command { line: number, code: code(&whole)?, text: whole });
    }
    Ok(commands)
}

fn here_document(line: &str) -> Option<String> {
    let word = line.split_once("<<")?.1.split_whitespace().next()?;
    Some(word.trim_matches(['\'', '"']).to_owned())
}

fn code(command: &str) -> Result<i32, String> {
    let comment = command.split_once(" # ").map_or("", |(_, comment)| comment);
    let Some((_, said)) = comment.split_once("exit code ") else { return Ok(0) };
    let digits: String = said.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().map_err(|_| format!("{command}: no exit code"))
}

/// Whether `actual` is what a document shows.
pub(crate) fn agrees(expected: &str, actual: &str) -> bool {
    let trimmed = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    lines_agree(&trimmed(expected), &trimmed(actual))
}

fn lines_agree(expected: &[String], actual: &[String]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((any, rest)) if any.trim() == "..." => {
            (0..=actual.len()).any(|skipped| lines_agree(rest, &actual[skipped..]))
        }
        Some((line, rest)) => actual
            .split_first()
            .is_some_and(|(first, others)| line_agrees(line, first) && lines_agree(rest, others)),
    }
}

fn line_agrees(expected: &str, actual: &str) -> bool {
    match expected.split_once("...") {
        None => expected == actual,
        Some((start, rest)) => actual.strip_prefix(start).is_some_and(|tail| {
            tail.char_indices().map(|(at, _)| at).chain([tail.len()]).any(|at| line_agrees(rest, &tail[at..]))
        }),
    }
}

#[test]
fn a_document_is_read_as_a_person_would() {
    let text = "\
Text.

```sh
one   # a comment
two \\
  more                # exit code 6: not yet
cat > /f <<'END'
# not a comment
END
```

```text
said
```

<!-- file: /etc/x -->
```yaml
a: 1
```

<!-- unseen: four -->
<!-- not run: needs a GPU -->
```sh
three
```

```text
only shown
```
";
    let command = |line, code, text: &str| Command { line, code, text: text.to_owned() };
    let run = Step::Run {
        line: 3,
        commands: vec![
            command(4, 0, "one   # a comment"),
            command(5, 6, "two \\\n  more                # exit code 6: not yet"),
            command(7, 0, "cat > /f <<'END'\n# not a comment\nEND"),
        ],
        expected: Some("said\n".to_owned()),
    };
    let write = Step::Write { path: "/etc/x".to_owned(), text: "a: 1\n".to_owned() };
    let unseen = Step::Run { line: 20, commands: vec![command(21, 0, "four")], expected: None };
    let excused = Step::Excused { line: 23, why: "needs a GPU".to_owned() };
    assert_eq!(steps(text), Ok(vec![run, write, unseen, excused]));
}

#[test]
fn what_leaves_open_whether_it_is_run_is_refused() {
    for text in ["```\nls\n```\n", "```bash\nls\n```\n", "<!-- later -->\n```sh\nls\n```\n", "```sh\nls\n"] {
        assert!(steps(text).is_err(), "{text}");
    }
}

#[test]
fn dots_stand_for_what_varies() {
    assert!(agrees("a\n...\nz\n", "a\nb\nc\nz\n"));
    assert!(agrees("GPU-... idle\n", "GPU-1234 idle\n"));
    assert!(!agrees("a\n...\nz\n", "a\nb\n"));
    assert!(!agrees("GPU-... idle\n", "GPU-1234 busy\n"));
    assert!(!agrees("a\n", "a\nb\n"));
}
