//! A node that has forgotten what its records mean, as where `/run/gresgen` was emptied.

use std::path::Path;

use super::SlurmState;
use crate::files::{self, Kind};
use crate::publish::Expected;
use crate::read;
use crate::slurm::slots::{Form, GUARD};

impl SlurmState {
    /// Where no map tells what slurmd works with, takes it for what is expected of the node as it is: where gres.conf in its place
    /// has just these records, and slurmctld works with them. Those that are closed are the same ones.
    pub(crate) fn presume(&mut self, expected: &Expected) {
        if self.map().is_some() {
            return;
        }
        let output = |kind| expected.outputs.iter().find(|output| output.kind == kind);
        let (Some(view), Some(conf), Some(map)) =
            (&self.view, output(Kind::GresConf), output(Kind::DeviceMap))
        else {
            return;
        };
        let Some(there) = text(&conf.path) else { return };
        let has_read = expected.table.form.is_none() || view.form_read() == Form::of_gres_conf(&there);
        if has_read && view.gres() == expected.table.gres() && devices(&there).eq(devices(&conf.text)) {
            self.present = map.text.parse().ok();
        }
    }
}

/// A gres.conf of ours without the site's lines.
fn text(path: &Path) -> Option<String> {
    let bytes = read::bytes(path, read::MAX_TEXT).ok()?;
    Some(String::from_utf8_lossy(files::head(&bytes)).into_owned())
}

/// The lines of GPUs in a gres.conf, without the cores that are near: those of one that is closed are none. Pads and gates tell
/// of its form alone.
fn devices(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let is_pad = |line: &&str| line.contains(&format!(" Type={GUARD} File="));
    let lines = text.lines().filter(|line| line.contains(" Name=gpu ")).filter(move |line| !is_pad(line));
    lines.map(|line| line.split_whitespace().filter(|word| !word.starts_with("Cores=")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_device_is_the_same_and_another_one_is_not() {
        let line = |kind: &str, files: &str, cores: &str| {
            format!(
                "NodeName=n1 Name=gpu Type={kind} MultipleFiles={files} Cores={cores} Flags=nvidia_gpu_env\n"
            )
        };
        let pads =
            |form: &str| format!("NodeName=n1 Name=gpu Type=guard File=/dev/gresgen/{form} Cores=\"\"\n");
        let open = line("1g.5gb", "/dev/nvidia0,/dev/nvidia-caps/nvidia-cap66", "0-31");
        let two = line("1g.5gb", "/dev/nvidia0,/dev/gresgen/void", "\"\"");
        let text = format!("# ours\n{open}{two}{}", pads("pad[0-1]"));
        let alike = |other: &str| devices(&text).eq(devices(other));
        let closed = open.replace("0-31", "\"\"");
        assert!(alike(&format!("{closed}{two}{}{}", pads("pad0"), pads("pad1"))));
        for other in [
            format!("{two}{open}"),
            format!("{open}{two}{two}"),
            format!("{open}{open}"),
            format!("{}{two}", open.replace("cap66", "cap75")),
            format!("{}{two}", open.replace("1g.5gb", "2g.10gb")),
            String::new(),
        ] {
            assert!(!alike(&other), "{other}");
        }
    }
}
