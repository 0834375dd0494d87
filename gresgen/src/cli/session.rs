//! What every verb starts from: the root, the driver, the node's name.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::paint::Painted;
use super::progress::warning;
use super::report::{Exit, Failure, Outcome};
use super::{Global, out};
use crate::apply::DesiredState;
use crate::apply::desired::DesiredStateError;
use crate::apply::intent::Intent;
use crate::config::Config;
use crate::devices::boot_id;
use crate::hooks;
use crate::node::Node;
use crate::node::chosen::effective_layout;
use crate::nvml::{Code, Driver, export};
use crate::read;
use crate::root::Root;
use crate::site::{Site, is_slurms};
use crate::slurm::{Settings, here};

/// File name of the simulator, as cargo and the packages have it.
const SIMULATOR: &str = "libnvml_sim.so";

/// The paths and options of this run.
pub(super) struct Session {
    /// The options of every verb.
    pub(super) global: Global,
    /// Prefix of every path.
    pub(super) root: Root,
    library: Option<PathBuf>,
    /// The configuration, where it was read from standard input.
    input: OnceCell<String>,
}

impl Session {
    /// Reads the global options.
    ///
    /// # Errors
    /// `--simulate` without a root of its own, or without the simulator at hand.
    pub(super) fn new(global: Global) -> Result<Self, Failure> {
        let root = match &global.root {
            Some(prefix) => Root::new(prefix).map_err(Failure::failed)?,
            None => Root::host(),
        };
        let mut library = global.nvml_lib.clone();
        if let Some(spec) = &global.simulate {
            if root.is_host() {
                return Err(Failure::usage("--simulate: simulated GPUs need a directory of their own")
                    .hint("add --root DIR; everything simulated and everything written lies below it"));
            }
            for (name, value) in
                [("NVML_SIM_GPUS", OsStr::new(spec)), ("NVML_SIM_ROOT", root.prefix().as_os_str())]
            {
                export(name, value).map_err(Failure::failed)?;
            }
            library = Some(library.map_or_else(simulator, Ok)?);
        }
        Ok(Session { global, root, library, input: OnceCell::new() })
    }

    /// Prints a value as JSON where that was asked for, and else its text for a person.
    pub(super) fn print<T: Into<Painted>>(
        &self,
        value: &impl Serialize,
        text: impl FnOnce() -> T,
    ) -> Outcome {
        if self.global.json {
            out::json(value)?
        } else {
            out::painted(&text().into())?
        }
        Ok(Exit::Ok)
    }

    /// Says what may be wrong, unless errors alone are to be said.
    pub(super) fn warn(&self, text: impl Display) {
        if !self.global.quiet {
            warning(text);
        }
    }

    /// Opens the driver.
    ///
    /// # Errors
    /// When there is none, with a hint towards `--simulate`.
    pub(super) fn driver(&self) -> Result<Driver, Failure> {
        let driver = Driver::open(self.library.as_deref(), &self.root);
        driver.map_err(|error| match error.code() {
            // The simulator has said on standard error what is wrong with the SPEC or the directory.
            Some(Code::DRIVER_NOT_LOADED) if self.global.simulate.is_some() => {
                Failure::usage("--simulate: the simulator did not start").hint("the line above says why")
            }
            _ => error.into(),
        })
    }

    /// The configuration.
    ///
    /// # Errors
    /// When it is not there, or wrong: with its place in the file.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        let path = self.config_path();
        let (name, text) = if path == Path::new("-") {
            ("standard input".to_owned(), self.standard_input())
        } else {
            (path.display().to_string(), read::text(&path, Config::MAX_BYTES))
        };
        let text = text.map_err(|e| {
            let failure = Failure::usage(format!("{name}: {e}"));
            match e.kind() {
                ErrorKind::NotFound => failure.hint(
                    "gresgen init writes one from what is there; /usr/share/doc/gresgen/examples has others to start from",
                ),
                _ => failure,
            }
        })?;
        Ok(Config::parse(&name, &text).map_err(DesiredStateError::from)?)
    }

    /// What stands on standard input, which can be read once.
    fn standard_input(&self) -> io::Result<String> {
        if let Some(text) = self.input.get() {
            return Ok(text.clone());
        }
        let text = read::all(io::stdin(), Config::MAX_BYTES).and_then(read::utf8)?;
        Ok(self.input.get_or_init(|| text).clone())
    }

    /// The label of the layout that is meant.
    ///
    /// # Errors
    /// When the configuration has none of that name.
    pub(super) fn layout<'a>(&self, config: &'a Config) -> Result<&'a str, Failure> {
        Ok(effective_layout(&self.root, config, self.global.layout.as_deref(), self.cut_off()?.as_ref())?)
    }

    /// Whether an apply chooses its layout, to be meant from then on: because it was asked for, or because an apply
    /// that had been asked for it was cut off.
    pub(super) fn chooses(&self) -> Result<bool, Failure> {
        Ok(self.global.layout.is_some() || self.cut_off()?.is_some_and(|intent| intent.layout.is_some()))
    }

    /// What the node shall be: the layout that is meant. GPUs that take orders become it where it is chosen.
    pub(super) fn desired<'a>(&self, config: &'a Config) -> Result<DesiredState<'a>, Failure> {
        let label = self.layout(config)?;
        Ok(if self.chooses()? {
            DesiredState::Layout(config, label)
        } else {
            DesiredState::InForce(config, label)
        })
    }

    /// The label that a boot restores: what a reboot cut off is not in Slurm's files yet.
    pub(super) fn restored<'a>(&self, config: &'a Config) -> Result<&'a str, Failure> {
        Ok(effective_layout(&self.root, config, self.global.layout.as_deref(), None)?)
    }

    /// The layout that GPUs on request go back to, for verbs that are about these alone. One that was asked for has to be there;
    /// without any the rest of a region becomes the smallest on offer.
    ///
    /// # Errors
    /// Where no GPU is on request, with a hint to what that is.
    pub(super) fn on_request<'a>(&self, config: &'a Config, hint: &str) -> Result<Option<&'a str>, Failure> {
        if config.slurm.on_request.is_empty() {
            return Err(Failure::usage(
                "slurm.on-request: is not in the configuration, so no GPU is cut on request",
            )
            .hint(hint));
        }
        match config.choose(self.global.layout.as_deref()) {
            Err(error) if self.global.layout.is_some() => Err(Failure::usage(error)),
            label => Ok(label.ok()),
        }
    }

    /// The apply that was cut off in this boot, if one was.
    fn cut_off(&self) -> Result<Option<Intent>, Failure> {
        let intent = Intent::load(&self.root)?;
        let boot = boot_id(&self.root).unwrap_or_default();
        Ok(intent.filter(|intent| !intent.is_of_before(&boot)))
    }

    /// The node, with its driver open.
    ///
    /// # Errors
    /// Where this node is not known to be one that Slurm knows.
    pub(super) fn node_with<'a>(
        &'a self,
        settings: &'a Settings,
        driver: Driver,
    ) -> Result<Node<'a>, Failure> {
        let site = self.site(settings, self.node_name(settings)?);
        Ok(Node { root: &self.root, settings, driver, site })
    }

    /// What a node of this name is to Slurm.
    pub(super) fn site<'a>(&'a self, settings: &'a Settings, node: String) -> Site<'a> {
        let in_slurm = is_slurms(&self.root, settings);
        Site { root: &self.root, settings, node, asks_slurmctld: self.runs_slurm(), in_slurm }
    }

    /// The `slurm:` section, for verbs that need no layout and hence no configuration.
    ///
    /// # Errors
    /// When there is a configuration and it is wrong.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        if self.global.config.is_none() && !self.config_path().exists() {
            return Ok(Settings::default());
        }
        Ok(self.config()?.slurm)
    }

    /// The `hooks:` section, of a configuration that is there.
    ///
    /// # Errors
    /// When it is wrong, or names commands and others can write it.
    pub(super) fn hooks(&self) -> Result<hooks::Settings, Failure> {
        let path = self.config_path();
        if self.global.config.is_none() && !path.exists() {
            return Ok(hooks::Settings::default());
        }
        let settings = self.config()?.hooks;
        if path != Path::new("-") && (settings.runs_commands() || settings.file.is_some()) {
            hooks::file::trusted(&path)?;
        }
        Ok(settings)
    }

    /// The `slurm:` section, or its defaults with a warning when the configuration is wrong: looking at a node must
    /// not depend on what is wanted of it.
    pub(super) fn settings_if_sound(&self) -> Settings {
        self.settings().unwrap_or_else(|failure| {
            self.warn(failure.error);
            Settings::default()
        })
    }

    fn config_path(&self) -> PathBuf {
        self.global.config.clone().unwrap_or_else(|| self.root.path(Root::CONFIG))
    }

    /// Whether this node is one of a Slurm cluster. One whose slurmd runs is, wherever its configuration is.
    pub(super) fn runs_slurm(&self) -> bool {
        !matches!(here::configuration(&self.root), Ok(None))
    }

    /// Slurm's name of this node.
    ///
    /// # Errors
    /// Where it is not known, or the configuration of a slurmd that runs is not: nothing must be changed then.
    pub(super) fn node_name(&self, settings: &Settings) -> Result<String, Failure> {
        let configuration = here::configuration(&self.root)?;
        Ok(here::node_name(&self.root, settings, configuration.as_deref())?)
    }

    /// The same for verbs that only look: what is not known is said, and the host name taken.
    pub(super) fn node_name_if_known(&self, settings: &Settings) -> String {
        self.node_name(settings).unwrap_or_else(|failure| {
            self.warn(failure.error);
            here::host_name()
        })
    }
}

/// The simulator: beside this program, where a package puts it, or where cargo does.
fn simulator() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe().map_err(Failure::failed)?;
    let directory = program.parent().unwrap_or(Path::new("/"));
    let places = [directory.to_owned(), directory.join("deps"), directory.join("../lib/gresgen")];
    places.iter().map(|place| place.join(SIMULATOR)).find(|path| path.exists()).ok_or_else(|| {
        Failure::failed(format!("{SIMULATOR}: not found beside {}", program.display()))
            .hint("name it with --nvml-lib")
    })
}
