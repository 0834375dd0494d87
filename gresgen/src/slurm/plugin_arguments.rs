//! Arguments of spank_mig.so. It ignores what it does not know (slurm-plugin/src/args.rs), and complains in every job.

use crate::words::did_you_mean_of;

/// Each with the values it takes; none means an absolute path.
const ARGUMENTS: [(&str, &[&str]); 7] = [
    ("map", &[]),
    ("on_unresolved", &["fail", "warn"]),
    ("notices", &["on", "off", "yes", "no", "true", "false"]),
    ("set", &["cuda", "nvidia", "cuda,nvidia", "nvidia,cuda"]),
    ("dcgm", &[]),
    ("gpustat", &[]),
    ("ceems", &[]),
];

/// What the plugin would ignore in an argument, as a phrase to stand behind it.
pub(crate) fn wrong(key: &str, value: &str) -> Option<String> {
    let names = ARGUMENTS.map(|(name, _)| name);
    match ARGUMENTS.iter().find(|(name, _)| *name == key) {
        None => {
            let near = did_you_mean_of(key, names);
            Some(format!("no argument of the plugin{near} only {}", names.join(", ")))
        }
        Some((_, [])) => (!value.starts_with('/')).then(|| "an absolute path is due".to_owned()),
        Some((_, values)) => {
            (!values.contains(&value)).then(|| format!("one of {} is due", values.join(", ")))
        }
    }
}
