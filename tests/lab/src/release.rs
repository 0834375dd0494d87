//! The Slurm releases a lab can run.

use std::{fmt, str::FromStr};

/// A Slurm release, by the Debian suite that ships it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Release {
    /// Slurm 22.05 of Debian 12, on the host's own root filesystem, read through an overlay.
    Bookworm,
    /// Slurm 24.11 of Debian 13.
    Trixie,
    /// Whatever Debian unstable ships: 26.05 when this was written.
    Sid,
}

impl Release {
    /// Every release, oldest first.
    pub const ALL: [Self; 3] = [Self::Bookworm, Self::Trixie, Self::Sid];

    /// The Debian suite.
    pub fn suite(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        }
    }

    /// Where Debian's Slurm looks for plugins named without a path, on every suite.
    pub fn plugin_directory(self) -> String {
        format!("/usr/lib/{}-linux-gnu/slurm-wlm", std::env::consts::ARCH)
    }

    /// The releases named in `LAB_RELEASES` (`all`, or suites between commas); 22.05 where it is not set.
    ///
    /// # Panics
    /// When the variable names no known suite.
    pub fn selected() -> Vec<Self> {
        match std::env::var("LAB_RELEASES") {
            Err(_) => vec![Self::Bookworm],
            Ok(all) if all == "all" => Self::ALL.to_vec(),
            Ok(names) => names
                .split(',')
                .map(|name| name.parse().unwrap_or_else(|error| panic!("LAB_RELEASES: {error}")))
                .collect(),
        }
    }

    /// Whether `scontrol reconfigure` makes slurmd start anew and read gres.conf again as at a start
    /// (from 23.11; up to 23.02 it reloads in process).
    pub fn reconfigure_restarts_slurmd(self) -> bool {
        self != Self::Bookworm
    }
}

impl fmt::Display for Release {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.suite())
    }
}

impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|release| release.suite() == text)
            .ok_or_else(|| format!("{text}: unknown suite; use bookworm, trixie or sid"))
    }
}
