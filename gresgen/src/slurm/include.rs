//! Where slurm.conf and plugstack.conf have to name the files of a node, and whether they do.

use std::path::Path;

use super::conf::Conf;
use crate::root::Root;

/// What has to be done to the slurm.conf at `path`, which says `conf`, so that it includes the node line in `node_conf`,
/// for a person; `None` when it does.
pub(crate) fn missing_node_line(
    path: &Path,
    conf: &Conf,
    node: &str,
    node_conf: &Path,
    root: &Root,
) -> Option<String> {
    if conf.includes(&root.path(node_conf)) {
        return None;
    }
    let mut nodes = conf.nodes();
    let named = nodes.find(|(_, names)| names.iter().any(|name| name == node));
    let node_conf = node_conf.display();
    Some(match named {
        Some((line, names)) => {
            let place = format!("{}:{}", line.file.display(), line.number);
            match names.len() {
                1 => format!("{place}: in the place of this line: include {node_conf}"),
                _ => format!("{place}: take {node} out of this line, and add a line: include {node_conf}"),
            }
        }
        None => format!("{}: add a line: include {node_conf}", path.display()),
    })
}

/// The include line for the plugin's file: of its whole directory where that is one for such files, because a
/// missing file is an error to Slurm and a directory without files is not.
pub(crate) fn plugin_include(plugstack_conf: &Path) -> String {
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
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path();
        let path = folder.join("slurm.conf");
        let how = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let node_conf = folder.join("gresgen-node.conf");
            let conf = Conf::read(&path, &Root::host());
            let missing = missing_node_line(&path, &conf, "n1", &node_conf, &Root::host());
            missing.unwrap_or_default().replace(&format!("{}/", folder.display()), "")
        };
        std::fs::write(folder.join("nodes.conf"), "# ours\nNodeName=n[1-4] \\\n CPUs=2\n").unwrap();
        std::fs::write(folder.join("all.conf"), "include gresgen-node.conf\n").unwrap();
        assert_eq!(how("A=1\nInclude gresgen-node.conf # n1\n"), "");
        assert_eq!(how(&format!("A=1\r\ninclude {}/gresgen-node.conf\r\n", folder.display())), "");
        assert_eq!(how("include all.conf\n"), "");
        let include = "include gresgen-node.conf";
        assert_eq!(how("A=1\n"), format!("slurm.conf: add a line: {include}"));
        assert_eq!(
            how("A=1\n#NodeName=n1\nnodename=n1 CPUs=2\n"),
            format!("slurm.conf:3: in the place of this line: {include}")
        );
        assert_eq!(
            how("include nodes.conf\n"),
            format!("nodes.conf:2: take n1 out of this line, and add a line: {include}")
        );
    }

    #[test]
    fn the_plugins_directory_is_included_as_a_whole() {
        let include = |path: &str| plugin_include(Path::new(path));
        assert_eq!(include("/etc/slurm/plugstack.conf.d/mig.conf"), "include /etc/slurm/plugstack.conf.d/*");
        assert_eq!(include("/var/lib/x/plugstack.conf"), "include /var/lib/x/plugstack.conf");
    }
}
