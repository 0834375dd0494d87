//! A document of `docs/` as a manual page.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Adds a document: its second rank of headings becomes the page's sections, what stands before the first of them is its
/// description.
pub(super) fn add(roff: &mut Roff, markdown: &str) {
    let mut page = Page {
        roff,
        words: Vec::new(),
        style: Style::Roman,
        table: None,
        in_item: false,
        in_code: false,
        after_heading: true,
    };
    page.roff.control("SH", ["DESCRIPTION"]);
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        page.take(event);
    }
}

/// How words are set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Roman,
    Bold,
    Italic,
}

struct Page<'a> {
    roff: &'a mut Roff,
    /// What the current paragraph, cell or heading has so far.
    words: Vec<Inline>,
    style: Style,
    table: Option<Table>,
    in_item: bool,
    in_code: bool,
    /// A heading stands before, which begins a paragraph by itself.
    after_heading: bool,
}

/// A table, whose rows become entries.
#[derive(Default)]
struct Table {
    headings: Vec<Vec<Inline>>,
    row: Vec<Vec<Inline>>,
}

impl Page<'_> {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.in_code => {
                for line in text.lines() {
                    self.roff.text([roman(line)]);
                }
            }
            Event::Text(text) => self.words.push(match self.style {
                Style::Roman => roman(text.into_string()),
                Style::Bold => bold(text.into_string()),
                Style::Italic => italic(text.into_string()),
            }),
            Event::Code(text) => self.words.push(bold(text.into_string())),
            Event::SoftBreak | Event::HardBreak => self.words.push(roman(" ")),
            // Comments are for the test that runs the document.
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Strong => self.style = Style::Bold,
            Tag::Emphasis => self.style = Style::Italic,
            Tag::Item => self.in_item = true,
            Tag::CodeBlock(_) => {
                self.in_code = true;
                self.begin_paragraph();
                self.roff.control("EX", []);
            }
            Tag::Table(_) => self.table = Some(Table::default()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Strong | TagEnd::Emphasis => self.style = Style::Roman,
            TagEnd::Heading(HeadingLevel::H1) => self.words.clear(),
            TagEnd::Heading(HeadingLevel::H2) => {
                let title = plain(&std::mem::take(&mut self.words)).to_uppercase();
                self.roff.control("SH", [title.as_str()]);
                self.after_heading = true;
            }
            TagEnd::Heading(_) => {
                let title = plain(&std::mem::take(&mut self.words));
                self.roff.control("SS", [title.as_str()]);
                self.after_heading = true;
            }
            TagEnd::Paragraph => self.paragraph(),
            TagEnd::Item => {
                self.paragraph();
                self.in_item = false;
            }
            TagEnd::CodeBlock => {
                self.roff.control("EE", []);
                self.in_code = false;
            }
            TagEnd::TableCell => {
                let words = std::mem::take(&mut self.words);
                self.table.get_or_insert_default().row.push(words);
            }
            TagEnd::TableHead => {
                let table = self.table.get_or_insert_default();
                table.headings = std::mem::take(&mut table.row);
            }
            TagEnd::TableRow => self.row(),
            TagEnd::Table => self.table = None,
            _ => {}
        }
    }

    fn paragraph(&mut self) {
        let words = std::mem::take(&mut self.words);
        if words.is_empty() {
            return;
        }
        if self.in_item {
            self.after_heading = false;
            self.roff.control("IP", ["*", "2"]);
        } else {
            self.begin_paragraph()
        }
        self.roff.text(words);
    }

    fn begin_paragraph(&mut self) {
        if !std::mem::take(&mut self.after_heading) {
            self.roff.control("PP", []);
        }
    }

    /// A row: its first cell, and under it the others, each behind its heading.
    fn row(&mut self) {
        let Some(table) = &mut self.table else { return };
        let mut cells = std::mem::take(&mut table.row).into_iter();
        let term = cells.next().unwrap_or_default();
        let mut words: Vec<Inline> = Vec::new();
        for (cell, heading) in cells.zip(table.headings.iter().skip(1)).filter(|(cell, _)| !cell.is_empty()) {
            if !words.is_empty() {
                words.push(roman("; "));
            }
            if !heading.is_empty() {
                words.push(roman(format!("{}: ", plain(heading))));
            }
            words.extend(cell);
        }
        self.after_heading = false;
        self.roff.control("TP", []);
        self.roff.text(term);
        self.roff.text(words);
    }
}

/// Words without how they are set.
fn plain(words: &[Inline]) -> String {
    let text = |word: &Inline| match word {
        Inline::Roman(text) | Inline::Italic(text) | Inline::Bold(text) => text.clone(),
        Inline::LineBreak => " ".to_owned(),
    };
    words.iter().map(text).collect()
}

/// A section of a document, by its heading, with what ranks below it.
pub(super) fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let Some(start) = document.find(&format!("\n{heading}\n")) else { return "" };
    let rest = &document[start + heading.len() + 2..];
    let rank = heading.split(' ').next().unwrap_or_default();
    let end = rest.find(&format!("\n{rank} ")).unwrap_or(rest.len());
    &rest[..end]
}
