//! The plugin's line in plugstack.conf.

use super::Link;
use crate::slurm::plugin_arguments;
use crate::slurm::plugstack::Line;

/// What the plugin would ignore in an argument.
fn wrong(argument: &str) -> Option<String> {
    let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
    plugin_arguments::wrong(key, value).map(|what| format!("{argument:?}: {what}"))
}

/// Judges the lines: `plugin` is the file name of ours.
pub(super) fn judge(lines: &[Line], plugin: &str, there: Option<bool>) -> Vec<Link> {
    const NAME: &str = "plugstack.conf";
    let is = |line: &Line, name: &str| line.plugin.file_name().is_some_and(|n| n == name);
    let ours: Vec<(usize, &Line)> = lines.iter().enumerate().filter(|(_, l)| is(l, plugin)).collect();
    let Some(&(at, line)) = ours.first() else {
        let fix = "add `include /etc/slurm/plugstack.conf.d/*` to plugstack.conf, and run gresgen apply";
        return vec![Link::fail(NAME, format!("no line loads {plugin}"), fix)];
    };
    let mut links = Vec::new();
    if ours.len() > 1 {
        let files: Vec<String> = ours.iter().map(|(_, l)| l.file.display().to_string()).collect();
        let what = format!("{} lines load {plugin}: {}", ours.len(), files.join(", "));
        links.push(Link::warn(NAME, what, "leave one; Slurm calls the plugin once per line"));
    }
    if there == Some(false) {
        let what = format!("{}: there is no such plugin", line.plugin.display());
        links.push(Link::fail(NAME, what, "install it there, or in Slurm's PluginDir"));
    }
    if !line.optional {
        let what = format!("{} is required: where it cannot be loaded, srun fails and nodes drain", plugin);
        links.push(Link::warn(NAME, what, "write optional; the plugin stops unresolved tasks by itself"));
    }
    for phrase in line.arguments.iter().filter_map(|argument| wrong(argument)) {
        let fix = format!("mend {}; the plugin ignores it", line.file.display());
        links.push(Link::fail(NAME, phrase, fix));
    }
    if lines[..at].iter().any(|l| is(l, "spank_pyxis.so")) {
        let what = "pyxis comes first, and gives its containers the devices of before";
        links.push(Link::fail(NAME, what, format!("move the line of {plugin} above that of spank_pyxis.so")));
    }
    if links.is_empty() {
        links.push(Link::pass(NAME, format!("{} loads {plugin}", line.file.display())));
    }
    links
}
