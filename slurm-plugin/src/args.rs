//! The arguments of the plugin's line in plugstack.conf.

use std::path::{Path, PathBuf};

use device_map::holding::Exporters;

/// Where `gresgen apply` puts the device map.
pub const DEFAULT_MAP: &str = "/run/gresgen/devices";

/// What the admin asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// `map=PATH`: the device map.
    pub map: PathBuf,
    /// `on_unresolved=fail|warn`: what becomes of a task whose devices cannot be resolved.
    pub on_unresolved: OnUnresolved,
    /// `notices=on|off`: whether users are told about several devices and limits that are not in force.
    pub notices: bool,
    /// `set=cuda,nvidia`: the variables to set.
    pub set: Vec<Variable>,
    /// `dcgm=DIR`, `gpustat=DIR`: where exporters look for the jobs of devices.
    pub exporters: Exporters,
    /// `ceems=FILE`: what Slurm's indexes are to CEEMS.
    pub ceems: Option<PathBuf>,
}

/// What becomes of a task whose devices cannot be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnresolved {
    /// It ends with status 1 before its program starts.
    Fail,
    /// It runs with what Slurm set, after a message.
    Warn,
}

/// A variable that gets the UUIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `CUDA_VISIBLE_DEVICES`, read by CUDA.
    Cuda,
    /// `NVIDIA_VISIBLE_DEVICES`, read by the NVIDIA container runtime and enroot.
    Nvidia,
}

impl Default for Args {
    fn default() -> Self {
        Args {
            map: PathBuf::from(DEFAULT_MAP),
            on_unresolved: OnUnresolved::Fail,
            notices: true,
            set: vec![Variable::Cuda],
            exporters: Exporters::default(),
            ceems: None,
        }
    }
}

impl Args {
    /// Reads `arguments`, and returns beside them a phrase for each that was ignored: a typo in a file that
    /// every node reads must not stop a cluster, so each argument that is not understood keeps its default.
    pub fn parse(arguments: impl Iterator<Item: AsRef<str>>) -> (Args, Vec<String>) {
        let mut args = Args::default();
        let complaints = arguments.filter_map(|argument| args.take(argument.as_ref()).err()).collect();
        (args, complaints)
    }

    fn take(&mut self, argument: &str) -> Result<(), String> {
        let (key, value) = argument
            .split_once('=')
            .ok_or_else(|| format!("argument {argument:?} is not key=value and is ignored"))?;
        match key {
            "map" => self.map = path(argument, value)?,
            "dcgm" => self.exporters.dcgm = Some(path(argument, value)?),
            "gpustat" => self.exporters.gpustat = Some(path(argument, value)?),
            "ceems" => self.ceems = Some(path(argument, value)?),
            "on_unresolved" => {
                self.on_unresolved = match value {
                    "fail" => OnUnresolved::Fail,
                    "warn" => OnUnresolved::Warn,
                    _ => return Err(expected(argument, "fail or warn")),
                }
            }
            "notices" => {
                self.notices = match value {
                    // A configuration in YAML has `on` and `off` for yes and no.
                    "on" | "yes" | "true" => true,
                    "off" | "no" | "false" => false,
                    _ => return Err(expected(argument, "on or off")),
                }
            }
            "set" => {
                self.set = variables(value).ok_or_else(|| expected(argument, "a list of cuda and nvidia"))?
            }
            _ => return Err(format!("argument {argument:?} has an unknown key and is ignored")),
        }
        Ok(())
    }
}

fn expected(argument: &str, what: &str) -> String {
    format!("argument {argument:?} is not {what} and is ignored")
}

fn path(argument: &str, value: &str) -> Result<PathBuf, String> {
    let path = Path::new(value);
    let absolute = path.is_absolute() && path.file_name().is_some();
    absolute.then(|| path.to_owned()).ok_or_else(|| expected(argument, "an absolute path"))
}

fn variables(value: &str) -> Option<Vec<Variable>> {
    let mut variables = Vec::new();
    for name in value.split(',') {
        let variable = match name {
            "cuda" => Variable::Cuda,
            "nvidia" => Variable::Nvidia,
            _ => return None,
        };
        if !variables.contains(&variable) {
            variables.push(variable);
        }
    }
    Some(variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(arguments: &[&str]) -> (Args, Vec<String>) {
        Args::parse(arguments.iter())
    }

    #[test]
    fn nothing_said_is_the_default() {
        assert_eq!(parse(&[]), (Args::default(), vec![]));
    }

    #[test]
    fn every_key_is_read() {
        let (args, complaints) = parse(&[
            "map=/srv/map",
            "on_unresolved=warn",
            "notices=off",
            "set=nvidia,cuda,nvidia",
            "dcgm=/d",
            "gpustat=/g",
            "ceems=/c",
        ]);
        let expected = Args {
            map: "/srv/map".into(),
            on_unresolved: OnUnresolved::Warn,
            notices: false,
            set: vec![Variable::Nvidia, Variable::Cuda],
            exporters: Exporters { dcgm: Some("/d".into()), gpustat: Some("/g".into()) },
            ceems: Some("/c".into()),
        };
        assert_eq!((args, complaints), (expected, vec![]));
        for (value, notices) in [("yes", true), ("true", true), ("no", false), ("false", false)] {
            let (args, complaints) = parse(&[&format!("notices={value}")]);
            assert_eq!((args.notices, complaints), (notices, vec![]), "{value}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named_and_keeps_its_default() {
        let (args, complaints) = parse(&[
            "mapp=/x",
            "map=devices",
            "map=/",
            "dcgm=run",
            "gpustat=/",
            "ceems=",
            "on_unresolved=drain",
            "notices=",
            "set=cuda,rocm",
            "set=",
            "verbose",
        ]);
        assert_eq!(args, Args::default());
        insta::assert_snapshot!(complaints.join("\n"));
    }

    proptest! {
        #[test]
        fn no_argument_panics_or_goes_unheard(argument in "\\PC{0,40}") {
            let (args, complaints) = parse(&[&argument]);
            prop_assert!(args != Args::default() || !complaints.is_empty() || default(&argument));
        }
    }

    /// Arguments that say what holds anyway.
    fn default(argument: &str) -> bool {
        let notices = ["notices=on", "notices=yes", "notices=true"];
        ["map=/run/gresgen/devices", "on_unresolved=fail", "set=cuda"].contains(&argument)
            || notices.contains(&argument)
    }
}
