//! Pictures from templates: one look for all of them, and what stands in them escaped.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error};
use serde::Serialize;

/// What of a document's head and look is the same in every picture.
const STYLE: &str = include_str!("svg_style.j2");

/// A picture.
///
/// # Errors
/// When the template cannot be filled in, which no value brings about.
pub(crate) fn render(template: &'static str, values: &impl Serialize) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("style", STYLE)?;
    environment.add_template("picture", template)?;
    environment.add_filter("px", |pixels: f64| format!("{pixels:.1}"));
    environment.add_filter("text", |text: String| text.replace(|c| !is_xml(c), "\u{FFFD}"));
    environment.get_template("picture")?.render(Serde(values))
}

/// Whether a character can stand in a document at all (XML 1.0, production 2, without those that it discourages).
fn is_xml(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{FFFE}' | '\u{FFFF}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}
