//! What every verb starts from: the root, the driver, the node's name.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Global;
use super::change::selector;
use super::progress::message;
use super::report::{Exit, Failure};
use crate::apply::wish::{Layout, WishError, meant};
use crate::config::{Config, Selector};
use crate::inventory::Inventory;
use crate::nvml::{Code, Driver, export};
use crate::read;
use crate::root::Root;
use crate::slurm::Settings;

/// File name of the simulator, as cargo and the packages have it.
const SIMULATOR: &str = "libnvml_sim.so";

/// The paths and options of this run.
pub(super) struct Session {
    /// Prefix of every path.
    pub(super) root: Root,
    library: Option<PathBuf>,
    simulated: bool,
}

impl Session {
    /// Reads the global options.
    ///
    /// # Errors
    /// `--simulate` without a root of its own, or without the simulator at hand.
    pub(super) fn new(global: &Global) -> Result<Self, Failure> {
        let root = match &global.root {
            Some(prefix) => Root::new(prefix).map_err(|e| Failure::new(Exit::Failure, e))?,
            None => Root::host(),
        };
        let Some(spec) = &global.simulate else {
            return Ok(Session { root, library: global.nvml_lib.clone(), simulated: false });
        };
        if root.is_host() {
            return Err(Failure::new(
                Exit::Usage,
                "--simulate: simulated GPUs need a directory of their own",
            )
            .hint("add --root DIR; everything simulated and everything written lies below it"));
        }
        export("NVML_SIM_GPUS", OsStr::new(spec));
        export("NVML_SIM_ROOT", root.prefix().as_os_str());
        let library = match &global.nvml_lib {
            Some(library) => library.clone(),
            None => simulator()?,
        };
        Ok(Session { root, library: Some(library), simulated: true })
    }

    /// Opens the driver.
    ///
    /// # Errors
    /// When there is none, with a hint towards `--simulate`.
    pub(super) fn driver(&self) -> Result<Driver, Failure> {
        let driver = Driver::open(self.library.as_deref(), &self.root);
        driver.map_err(|error| match error.code() {
            // The simulator has said on standard error what is wrong with the SPEC or the directory.
            Some(Code::DRIVER_NOT_LOADED) if self.simulated => {
                Failure::new(Exit::Usage, "--simulate: the simulator did not start")
                    .hint("the line above says why")
            }
            _ => error.into(),
        })
    }

    /// The configuration.
    ///
    /// # Errors
    /// When it is not there, or wrong: with its place in the file.
    pub(super) fn config(&self, global: &Global) -> Result<Config, Failure> {
        let path = self.config_path(global);
        let (name, text) = match path == Path::new("-") {
            true => {
                ("standard input".to_owned(), read::all(io::stdin(), Config::MAX_BYTES).and_then(read::utf8))
            }
            false => (path.display().to_string(), read::text(&path, Config::MAX_BYTES)),
        };
        let text = text.map_err(|e| {
            let failure = Failure::new(Exit::Usage, format!("{name}: {e}"));
            match e.kind() {
                ErrorKind::NotFound => failure
                    .hint("gresgen export prints what the node has now, as a configuration to start from"),
                _ => failure,
            }
        })?;
        Ok(Config::parse(&name, &text).map_err(WishError::from)?)
    }

    /// The layout asked for, or the one the configuration names.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(super) fn layout<'a>(&self, config: &'a Config, global: &Global) -> Result<Layout<'a>, Failure> {
        let label = config.choose(global.layout.as_deref()).map_err(WishError::from)?;
        Ok(Layout { config, label })
    }

    /// The `slurm:` section, for verbs that need no layout and hence no configuration.
    ///
    /// # Errors
    /// When there is a configuration and it is wrong.
    pub(super) fn settings(&self, global: &Global) -> Result<Settings, Failure> {
        if global.config.is_none() && !self.config_path(global).exists() {
            return Ok(Settings::default());
        }
        Ok(self.config(global)?.slurm)
    }

    /// The `slurm:` section, or its defaults with a warning when the configuration is wrong: looking at a node must
    /// not depend on what is wanted of it.
    pub(super) fn settings_if_sound(&self, global: &Global) -> Settings {
        self.settings(global).unwrap_or_else(|failure| {
            if !global.quiet {
                message(format_args!("warning: {}", failure.error));
            }
            Settings::default()
        })
    }

    fn config_path(&self, global: &Global) -> PathBuf {
        global.config.clone().unwrap_or_else(|| self.root.path(Root::CONFIG))
    }

    /// Whether this node is one of a Slurm cluster.
    pub(super) fn runs_slurm(&self) -> bool {
        self.root.slurm_directory().is_some()
    }

    /// Slurm's name of this node: the configuration's, else [`Session::node`].
    pub(super) fn node_name(&self, settings: &Settings) -> String {
        settings.node.clone().unwrap_or_else(|| self.node())
    }

    /// Slurm's name of this node where no configuration says it: what slurmd was told, or the host name up to its first dot, which is what
    /// slurmd takes by itself (slurm.conf(5), NodeName).
    pub(super) fn node(&self) -> String {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        std::env::var("SLURMD_NODENAME").unwrap_or(name).split('.').next().unwrap_or_default().to_owned()
    }
}

/// GPUs that a verb shows: all, unless some are named.
#[derive(Debug, clap::Args)]
pub(super) struct Only {
    /// Only these GPUs, by index, UUID, PCI address or model
    #[arg(value_name = "GPU", value_parser = selector)]
    pub(super) gpus: Vec<Selector>,
}

impl Only {
    /// Leaves the others out of the inventory.
    ///
    /// # Errors
    /// One that the node does not have.
    pub(super) fn keep(&self, inventory: &mut Inventory) -> Result<(), Failure> {
        if !self.gpus.is_empty() {
            let mut meant = meant(inventory, &self.gpus)?.into_iter();
            inventory.gpus.retain(|_| meant.next().unwrap_or_default());
        }
        Ok(())
    }
}

/// The simulator: beside this program, where a package puts it, or where cargo does.
fn simulator() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe().map_err(|e| Failure::new(Exit::Failure, e))?;
    let directory = program.parent().unwrap_or(Path::new("/"));
    let places = [directory.to_owned(), directory.join("deps"), directory.join("../lib/gresgen")];
    places.iter().map(|place| place.join(SIMULATOR)).find(|path| path.exists()).ok_or_else(|| {
        Failure::new(Exit::Failure, format!("{SIMULATOR}: not found beside {}", program.display()))
            .hint("name it with --nvml-lib")
    })
}
