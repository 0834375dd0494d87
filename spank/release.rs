//! Which Slurm release is running, and the version a plugin has to claim there.
//!
//! Slurm loads a SPANK plugin only when `plugin_version` has the daemon's major and minor number
//! (src/common/plugin.c, mask `0xffff00`). The plugin ABI itself has not changed from 21.08 to 26.05, so the
//! plugin fills the number in when it is loaded. Releases nobody has looked at keep the number of the build,
//! which Slurm then refuses with its own message.

use std::fmt;

/// `SLURM_API_CURRENT` (META in Slurm's sources) of the releases that are served, and their version.
const RELEASES: [(u32, Version); 8] = [
    (38, Version::new(22, 5, 0)),
    (39, Version::new(23, 2, 0)),
    (40, Version::new(23, 11, 0)),
    (41, Version::new(24, 5, 0)),
    (42, Version::new(24, 11, 0)),
    (43, Version::new(25, 5, 0)),
    (44, Version::new(25, 11, 0)),
    (45, Version::new(26, 5, 0)),
];

/// Highest API number accepted. An admin who has tested a newer release builds with `SPANK_MIG_MAX_API`.
const MAX_API: u32 = match option_env!("SPANK_MIG_MAX_API") {
    Some(text) => match u32::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("SPANK_MIG_MAX_API is not a number"),
    },
    None => RELEASES[RELEASES.len() - 1].0,
};

/// A Slurm version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Year of the release.
    pub major: u16,
    /// Month of the release.
    pub minor: u8,
    /// Maintenance release.
    pub micro: u8,
}

impl Version {
    /// The version `major.minor.micro`.
    pub const fn new(major: u16, minor: u8, micro: u8) -> Self {
        Version { major, minor, micro }
    }

    /// Reads `22.05.8`, `24.11.5-1` or `26.05.0rc1`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let (major, minor, rest) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some(Version::new(major.parse().ok()?, minor.parse().ok()?, rest[..digits].parse().ok()?))
    }

    /// As in `SLURM_VERSION_NUMBER`: `0x160508` for 22.05.8.
    const fn number(self) -> u32 {
        (self.major as u32) << 16 | (self.minor as u32) << 8 | self.micro as u32
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}.{}", self.major, self.minor, self.micro)
    }
}

/// The `plugin_version` for the Slurm whose `slurm_api_version()` is `api_version`; `None` where the release
/// is older or newer than those served.
pub(crate) fn stamp(api_version: u32) -> Option<u32> {
    let api = api_version >> 16;
    if api > MAX_API {
        return None;
    }
    let known = RELEASES.iter().find(|(number, _)| *number == api).map(|(_, version)| *version);
    known.or_else(|| beyond_the_table(api)).map(Version::number)
}

/// The release of an API number above the table, which only `SPANK_MIG_MAX_API` lets through: from 24.05 on
/// the number grows by one with every release, in May and November.
fn beyond_the_table(api: u32) -> Option<Version> {
    let (last, _) = RELEASES[RELEASES.len() - 1];
    let later = api.checked_sub(last + 1)?;
    let minor = if later % 2 == 0 { 11 } else { 5 };
    Some(Version::new(26 + u16::try_from(later.div_ceil(2)).ok()?, minor, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_served_has_its_stamp() {
        // slurm_api_version() as returned by 22.05.8, 24.11.5 and 26.05.5.
        assert_eq!(stamp(0x0026_0000), Some(0x16_05_00));
        assert_eq!(stamp(42 << 16), Some(0x18_0b_00));
        assert_eq!(stamp(45 << 16), Some(0x1a_05_00));
    }

    #[test]
    fn older_and_unknown_releases_are_left_to_slurm_to_refuse() {
        assert_eq!(stamp(37 << 16), None, "21.08");
        assert_eq!(stamp(46 << 16), None, "26.11");
        assert_eq!(stamp(0), None);
        assert_eq!(stamp(u32::MAX), None);
    }

    #[test]
    fn releases_beyond_the_table_follow_the_half_years() {
        let release = |api| beyond_the_table(api).map(|v| v.to_string());
        assert_eq!(release(46).as_deref(), Some("26.11.0"));
        assert_eq!(release(47).as_deref(), Some("27.05.0"));
        assert_eq!(release(48).as_deref(), Some("27.11.0"));
        assert_eq!(release(45), None);
    }

    #[test]
    fn versions_are_read_as_slurm_writes_them() {
        assert_eq!(Version::parse("22.05.8"), Some(Version::new(22, 5, 8)));
        assert_eq!(Version::parse("24.11.5-1"), Some(Version::new(24, 11, 5)));
        assert_eq!(Version::parse("26.05.0-0rc1"), Some(Version::new(26, 5, 0)));
        assert_eq!(Version::parse("23.11"), Some(Version::new(23, 11, 0)));
        assert_eq!(Version::parse("slurm"), None);
        assert!(Version::new(23, 11, 4) < Version::new(24, 5, 2));
    }
}
