//! Templates: embedded ones, each replaced by a file of the same name that the site keeps.

use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use super::RenderError;
use super::context::Context;
use crate::path_error::PathError;
use crate::read;

/// Largest template that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The embedded templates by name.
const EMBEDDED: [(&str, &str); 8] = [
    ("gres.conf.j2", include_str!("../../../templates/gres.conf.j2")),
    ("gresgen-node.conf.j2", include_str!("../../../templates/gresgen-node.conf.j2")),
    ("cgroup.conf.j2", include_str!("../../../templates/cgroup.conf.j2")),
    ("mig.conf.j2", include_str!("../../../templates/mig.conf.j2")),
    ("mig_submit.lua.j2", include_str!("../../../templates/mig_submit.lua.j2")),
    ("users.md.j2", include_str!("../../../templates/users.md.j2")),
    ("ondemand.yml.j2", include_str!("../../../templates/ondemand.yml.j2")),
    ("jupyterhub.py.j2", include_str!("../../../templates/jupyterhub.py.j2")),
];

/// A set of templates that parse.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    sources: Vec<Source>,
}

/// Where a template came from.
#[derive(Debug)]
struct Source {
    name: &'static str,
    /// The site's file; `None` for an embedded one.
    file: Option<PathBuf>,
    text: String,
}

impl Templates {
    /// Embedded templates, with those in `directory` in place of the ones of the same name.
    ///
    /// # Errors
    /// [`RenderError`] for a file that cannot be read or does not parse. A directory that is not there is none.
    pub fn load(directory: &Path) -> Result<Self, RenderError> {
        let mut environment = plain();
        environment.add_filter("quoted", |text: String| quoted(&text));
        let mut templates = Templates { environment, sources: Vec::new() };
        for (name, embedded) in EMBEDDED {
            let path = directory.join(name);
            let text = read::if_there(read::text(&path, MAX_BYTES));
            let source = match text.map_err(PathError::doing(&path, "cannot read the template"))? {
                Some(text) => Source { name, file: Some(path), text },
                None => Source { name, file: None, text: embedded.to_owned() },
            };
            let added = templates.environment.add_template_owned(name, source.text.clone());
            templates.sources.push(source);
            added.map_err(|error| templates.explain(name, &error))?;
        }
        Ok(templates)
    }

    /// The text a template makes of a context.
    pub fn render(&self, name: &'static str, context: &Context) -> Result<String, RenderError> {
        let devices = context.nodes.iter().map(|node| node.devices.len() as u64 + 1);
        self.make(name, context, devices.sum())
    }

    /// The text that a template makes of other values than a context; `size` is how many things there are to write of.
    pub fn make(
        &self,
        name: &'static str,
        values: &impl Serialize,
        size: u64,
    ) -> Result<String, RenderError> {
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(fuel(size)));
        let template = environment.get_template(name).map_err(|e| self.explain(name, &e))?;
        template.render(Serde(values)).map_err(|e| self.explain(name, &e))
    }

    fn explain(&self, name: &str, error: &Error) -> RenderError {
        let source = self.sources.iter().find(|s| s.name == name);
        let line = error.line().unwrap_or(0);
        let text = source.and_then(|s| s.text.lines().nth(line.checked_sub(1)?)).unwrap_or_default();
        let place = match source.and_then(|s| s.file.as_ref()) {
            Some(file) => file.display().to_string(),
            None => format!("embedded template {name}"),
        };
        RenderError::Template { place, line, what: phrase(error, text), source_line: text.to_owned() }
    }
}

/// Steps of the engine that a rendering may take: a template that never ends would hold the node's lock for good. Ours
/// take some forty for a device.
fn fuel(devices: u64) -> u64 {
    const AT_LEAST: u64 = 5_000_000;
    const PER_DEVICE: u64 = 10_000;
    AT_LEAST.saturating_add(devices.saturating_mul(PER_DEVICE))
}

/// A text as a literal of Lua, Python or YAML: all three read `"\\n"`, `"\\""` and `"\\\\"` alike, and nothing else that JSON escapes
/// is let through.
fn quoted(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""))
}

/// An environment for texts that are no HTML. Tags on lines of their own leave no lines behind.
pub(crate) fn plain() -> Environment<'static> {
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_syntax(syntax.build().expect("the standard delimiters do not clash"));
    environment
}

fn phrase(error: &Error, line: &str) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "takes too many steps; is there a loop in a loop?".to_owned(),
        (ErrorKind::UndefinedError, _) => {
            let expression = error.range().and_then(|_| expression(line)).unwrap_or(line.trim());
            format!(
                "the context has no such value: {expression} (gresgen render --context prints all there are)"
            )
        }
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    }
}

/// The first expression of a line.
fn expression(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("{{").or_else(|| line.split_once("{%"))?;
    rest.split_once("}}").or_else(|| rest.split_once("%}")).map(|(inside, _)| inside.trim())
}
