//! Which lines of a gres.conf slurmd reads.
//!
//! One that it does not read keeps it from starting, on every node that has the file. The words of slurm.conf come in any
//! order; those of gres.conf do not (seen with `slurmd -G` of 22.05.8, 24.11.5 and 26.05.5; `_parse_gres_config_node` and
//! `_gres_options` in src/common/gres.c, from 23.11 src/interfaces/gres.c; `s_p_parse_file` in src/common/parse_config.c).

use super::lines::Line;

/// Keys that a line of gres.conf may have behind its first one, in lower case.
const KEYS: [&str; 12] = [
    "autodetect",
    "count",
    "cores",
    "cpus",
    "file",
    "files",
    "flags",
    "link",
    "links",
    "multiplefiles",
    "name",
    "type",
];

/// Keys that a line may begin with, in lower case.
const FIRST: [&str; 3] = ["nodename", "name", "autodetect"];

/// Why slurmd does not read a line, as a phrase that follows the line's name; `None` where it does.
pub fn defect(line: &Line<'_>) -> Option<String> {
    if !line.is_read() {
        return Some("has a word that is no KEY=VALUE".to_owned());
    }
    if line.include().is_some() {
        return None;
    }
    let pairs = line.pairs();
    let mut keys = pairs.iter().map(|(key, _)| key.as_str());
    let first = keys.next()?;
    if !FIRST.contains(&first) {
        return Some(format!("begins with {first}=, where NodeName=, Name= or AutoDetect= has to be"));
    }
    let further = keys.find(|key| first == "autodetect" || !KEYS.contains(key))?;
    Some(match further {
        // What is said for all nodes takes the whole line.
        _ if first == "autodetect" => format!("has {further}= behind AutoDetect=, which stands alone"),
        "nodename" => "has NodeName= behind another word, and it comes first".to_owned(),
        _ => format!("has {further}=, which is no key of gres.conf"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slurm::lines::lines;

    #[test]
    fn a_line_says_why_it_is_not_read() {
        let why = |text: &str| lines(text.as_bytes()).iter().find_map(defect).unwrap_or_default();
        for read in [
            "",
            "# Name\n",
            "include x\n",
            "AutoDetect=nvml\n",
            "NodeName=n1 AutoDetect=off Name=gpu Files=/x\n",
            "name = gpu \\\n TYPE=a100 Count=2 # two\n",
        ] {
            assert_eq!(why(read), "", "{read}");
        }
        for text in ["Name=gpu File\n", "include x Name=gpu\n"] {
            assert_eq!(why(text), "has a word that is no KEY=VALUE");
        }
        assert_eq!(
            why("Type=a100 Name=gpu\n"),
            "begins with type=, where NodeName=, Name= or AutoDetect= has to be"
        );
        assert_eq!(
            why("AutoDetect=off NodeName=n1\n"),
            "has nodename= behind AutoDetect=, which stands alone"
        );
        for behind in ["Name=gpu NodeName=n1 File=/x\n", "NodeName=n1 Name=gpu NodeName=n2\n"] {
            assert_eq!(why(behind), "has NodeName= behind another word, and it comes first");
        }
        assert_eq!(why("Name=gpu Gres=2\n"), "has gres=, which is no key of gres.conf");
    }
}
