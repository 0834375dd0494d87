//! The node a document is worked through on.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use lab::{Lab, LabError, Options, Output, Release, Simulated};

use crate::checkout;
use crate::document::{Command, Step, agrees};

/// The end of what an apply leaves to do in Slurm: the node is there again, and takes jobs.
pub(crate) const RESUME: &str = "until scontrol -o show node n1 | grep State= | grep -Eqv 'State=[^ ]*(UNKNOWN|NOT_RESPONDING)|SlurmdStartTime=None'; \
                                 do sleep 1; done; scontrol update NodeName=n1 State=RESUME";

/// What the reader's GPUs are.
const GPUS: &str = "a100-40gb:2";

/// Where the reader has the checkout, and what was built from it.
const CHECKOUT: &str = "/root/gresgen";
pub(crate) const BUILD: &str = "/root/build";

/// What the reader's slurm.conf says of the node before there is anything of this project.
const BEFORE: &str = "NodeName=n1 CPUs=32 RealMemory=4000";

/// What a document takes for granted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// A node of a Slurm cluster that has never heard of this project.
    FromNothing,
    /// What docs/install.md leads to, with the GPUs not cut yet.
    Installed,
    /// The same with the GPUs cut as examples/config.yaml says.
    Cut,
}

/// A simulated node with a shell for the reader.
pub(crate) struct DocNode {
    lab: Lab,
    /// Programs as `make release` leaves them; shown to the node.
    build: tempfile::TempDir,
    /// In the simulator's grammar.
    gpus: &'static str,
}

impl DocNode {
    /// A node; `None` where no lab can run and that is accepted.
    pub(crate) fn new(start: Start) -> Option<Self> {
        Self::on(Release::Bookworm, start)
    }

    /// The same with the Slurm of a release.
    pub(crate) fn on(release: Release, start: Start) -> Option<Self> {
        Self::with(release, start, GPUS, |options| options)
    }

    /// The same with other GPUs, and `more` to it.
    pub(crate) fn with(
        release: Release,
        start: Start,
        gpus: &'static str,
        more: impl FnOnce(Options) -> Options,
    ) -> Option<Self> {
        let build = build();
        let file = |name: &str| build.path().join(name);
        let simulated = Simulated {
            gresgen: file("gresgen"),
            simulator: file("libnvml_sim.so"),
            plugin: file("libspank_mig.so"),
            gpus: gpus.to_owned(),
            config: "version: v1\n".to_owned(),
        };
        let place = build.path().to_owned();
        let lab = simulated
            .node_with(release, |options| more(options.bind(&checkout(), CHECKOUT).bind(&place, BUILD)));
        let node = DocNode { lab: lab::require(lab)?, build, gpus };
        node.prepare(start).unwrap();
        Some(node)
    }

    /// The lab installs things in ways of its own; the reader shall find none of that.
    fn prepare(&self, start: Start) -> Result<(), LabError> {
        // What a lab has not: systemd, and other nodes to go to.
        let systemctl = include_str!("systemctl.sh");
        self.lab.write_file("/usr/local/bin/systemctl", systemctl)?;
        let plugin = format!("{}/spank_mig.so", Release::Bookworm.plugin_directory());
        self.lab
            .write_file("/usr/local/bin/ssh", "#!/bin/sh\nexport SLURMD_NODENAME=$1\nshift\nexec \"$@\"\n")?;
        self.must("chmod 755 /usr/local/bin/systemctl /usr/local/bin/ssh")?;
        self.must(&format!(
            "rm -rf {plugin} /etc/gresgen /usr/local/bin/gresgen /usr/local/libexec/gresgen"
        ))?;
        self.must("rm -rf /usr/share/doc/gresgen /run/gresgen/*")?;
        match start {
            Start::FromNothing => {
                self.must("rm /etc/slurm/plugstack.conf")?;
                self.must(&format!("sed -i 's|^include .*|{BEFORE}|' /etc/slurm/slurm.conf"))?;
                self.lab
                    .write_file("/etc/slurm/cgroup.conf", "CgroupPlugin=cgroup/v1\nConstrainCores=yes\n")?;
            }
            Start::Installed | Start::Cut => {
                self.must("make --silent install")?;
                self.must("cp examples/config.yaml /etc/gresgen/config.yaml")?;
                // 6: Slurm is told by its start.
                let verb = if start == Start::Cut { "apply --offline" } else { "render" };
                self.must(&format!("gresgen --quiet {verb} || [ $? = 6 ]"))?;
            }
        }
        self.must("systemctl start slurmctld slurmd")?;
        self.lab.wait_nodes()
    }

    /// Does what a step says.
    ///
    /// # Errors
    /// What came out differently.
    pub(crate) fn take(&self, step: &Step) -> Result<(), String> {
        match step {
            Step::Excused { .. } => Ok(()),
            Step::Write { path, text } => self.lab.write_file(path, text).map_err(|error| error.to_string()),
            Step::Run { line, commands, expected } => {
                let said =
                    commands.iter().map(|command| self.type_in(command)).collect::<Result<String, _>>()?;
                match expected {
                    Some(expected) if !agrees(expected, &said) => {
                        Err(format!("line {line}: shown is\n{expected}\nbut what comes out is\n{said}"))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    fn type_in(&self, command: &Command) -> Result<String, String> {
        let output = self.shell(&command.text).map_err(|error| error.to_string())?;
        // Whether srun has to wait for a node that has just restarted, and says so, is chance.
        let told = output.stderr.lines().filter(|line| !line.starts_with("srun: "));
        let said: String = output.stdout.lines().chain(told).flat_map(|line| [line, "\n"]).collect();
        if output.code == command.code {
            return Ok(said);
        }
        let (line, text, code) = (command.line, &command.text, output.code);
        Err(format!("line {line}: {text}\nended with {code}, not {}\n{said}", command.code))
    }

    /// A command in the reader's shell, whose working directory is the checkout.
    pub(crate) fn shell(&self, text: &str) -> Result<Output, LabError> {
        let script = format!("cd {CHECKOUT} && {text}");
        self.lab
            .command(&["bash", "-o", "pipefail", "-c", &script])
            .env("NVML_SIM_ROOT", Simulated::TREE)
            .env("NVML_SIM_GPUS", self.gpus)
            .env("GRESGEN_NVML_LIB", "/usr/local/lib/gresgen/libnvml_sim.so")
            .env("BUILD", BUILD)
            .env("DPKG_DEB_COMPRESSOR_TYPE", "none")
            .output()
    }

    /// Output of a command that ends with `code`.
    pub(crate) fn ends(&self, code: i32, text: &str) -> String {
        let output = self.shell(text).unwrap();
        assert_eq!(output.code, code, "{text}\n{}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// Where what is bound at [`BUILD`] lies outside.
    pub(crate) fn build(&self) -> PathBuf {
        self.build.path().to_owned()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        self.lab.write_file(path, text).unwrap();
    }

    fn must(&self, text: &str) -> Result<(), LabError> {
        let output = self.shell(text)?;
        let what = format!("exit code {}\n{}{}", output.code, output.stdout, output.stderr);
        let error = LabError::Command { command: text.to_owned(), what };
        if output.success() { Ok(()) } else { Err(error) }
    }
}

/// The programs under the names that `make release` gives them.
pub(crate) fn build() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let gresgen = PathBuf::from(env!("CARGO_BIN_EXE_gresgen"));
    let deps = gresgen.with_file_name("deps");
    let files: [(&Path, &str); 5] = [
        (&gresgen, "gresgen"),
        // Built with the workspace: cargo builds no programs of a dependency.
        (&gresgen.with_file_name("nvml-sim-smi"), "nvml-sim-smi"),
        (&gresgen.with_file_name("lab"), "lab"),
        (&deps.join("libnvml_sim.so"), "libnvml_sim.so"),
        (&deps.join("libspank_mig.so"), "libspank_mig.so"),
    ];
    for (file, name) in files {
        let to = directory.path().join(name);
        std::fs::copy(file, &to).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    std::fs::write(directory.path().join("THIRD-PARTY"), third_party()).unwrap();
    directory
}

/// Licences as `make release` collects them.
fn third_party() -> &'static [u8] {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    TEXT.get_or_init(|| {
        let output = std::process::Command::new(checkout().join("packaging/third-party")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    })
}
