//! Where slurm.conf and plugstack.conf have to name the files of a node, and whether they do.

use std::path::{Path, PathBuf};

use super::control::NodeView;
use super::hostlist;

/// Files that a slurm.conf includes. Slurm's parser takes the word in any case (parse_config.c).
fn includes(conf: &Path, text: &str) -> impl Iterator<Item = PathBuf> {
    let folder = conf.parent().unwrap_or(Path::new("/"));
    text.lines().filter_map(move |line| {
        let (word, file) = line.split('#').next()?.trim().split_once(char::is_whitespace)?;
        word.eq_ignore_ascii_case("include").then(|| folder.join(file.trim()))
    })
}

/// What has to be done to a slurm.conf so that it includes the node line in `node_conf`, for a person; `None` when it
/// does. `conf` is the file and `text` what is in it.
pub fn missing_node_line(conf: &Path, text: &str, node: &str, node_conf: &Path) -> Option<String> {
    if includes(conf, text).any(|file| file == node_conf) {
        return None;
    }
    let named = text.lines().zip(1..).find_map(|(line, number): (&str, usize)| {
        let line = line.split('#').next().unwrap_or_default();
        let names = hostlist::expand(&NodeView::parse_line(line)?.name).ok()?;
        names.iter().any(|name| name == node).then_some((number, names.len()))
    });
    let (conf, node_conf) = (conf.display(), node_conf.display());
    Some(match named {
        Some((line, 1)) => format!("{conf}:{line}: in the place of this line: include {node_conf}"),
        Some((line, _)) => {
            format!("{conf}:{line}: take {node} out of this line, and add a line: include {node_conf}")
        }
        None => format!("{conf}: add a line: include {node_conf}"),
    })
}

/// The include line for the plugin's file: of its whole directory where that is one for such files, because a
/// missing file is an error to Slurm and a directory without files is not.
pub fn plugin_include(plugstack_conf: &Path) -> String {
    match plugstack_conf.parent() {
        Some(folder) if folder.extension().is_some_and(|e| e == "d") => {
            format!("include {}/*", folder.display())
        }
        _ => format!("include {}", plugstack_conf.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_node_line_is_named() {
        let conf = Path::new("/etc/slurm/slurm.conf");
        let how = |text: &str| {
            missing_node_line(conf, text, "n1", Path::new("/etc/slurm/gresgen-node.conf")).unwrap_or_default()
        };
        assert_eq!(how("A=1\nInclude gresgen-node.conf\n"), "");
        assert_eq!(how("A=1\ninclude /etc/slurm/gresgen-node.conf\n"), "");
        let include = "include /etc/slurm/gresgen-node.conf";
        assert_eq!(how("A=1\n"), format!("/etc/slurm/slurm.conf: add a line: {include}"));
        assert_eq!(
            how("A=1\n#NodeName=n1\nNodeName=n1 CPUs=2\n"),
            format!("/etc/slurm/slurm.conf:3: in the place of this line: {include}")
        );
        assert_eq!(
            how("NodeName=n[1-4] CPUs=2\n"),
            format!("/etc/slurm/slurm.conf:1: take n1 out of this line, and add a line: {include}")
        );
    }

    #[test]
    fn the_plugins_directory_is_included_as_a_whole() {
        let include = |path: &str| plugin_include(Path::new(path));
        assert_eq!(include("/etc/slurm/plugstack.conf.d/mig.conf"), "include /etc/slurm/plugstack.conf.d/*");
        assert_eq!(include("/var/lib/x/plugstack.conf"), "include /var/lib/x/plugstack.conf");
    }
}
