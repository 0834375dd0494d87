//! UUIDs by their first digits, as CUDA and git have it.

/// Fewest digits that stand for a UUID, so that no short number means one by chance (git: `minimum_abbrev`).
const FEWEST_DIGITS: usize = 4;

/// Whether a UUID begins with what was given, in either case; both with `kind`, `GPU-` or `MIG-`, or without it. As many
/// digits do as tell it from all others, which is the caller's to see to: CUDA takes the first few characters, too (NVIDIA's
/// Multi-Process Service guide, `CUDA_VISIBLE_DEVICES`).
pub(crate) fn begins(kind: &str, uuid: &str, given: &str) -> bool {
    let digits = |text: &str| match text.get(..kind.len()) {
        Some(start) if start.eq_ignore_ascii_case(kind) => text[kind.len()..].to_ascii_lowercase(),
        _ => text.to_ascii_lowercase(),
    };
    let given = digits(given);
    let uuid = digits(uuid);
    uuid == given || given.len() >= FEWEST_DIGITS && uuid.starts_with(&given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_digits_stand_for_a_uuid() {
        let uuid = "MIG-26c70135-ae39-5291-95f8-d08b71b05dbb";
        for given in
            ["MIG-26c70135-ae39-5291-95f8-d08b71b05dbb", "MIG-26c7", "mig-26C7", "26c7", "26c70135-ae"]
        {
            assert!(begins("MIG-", uuid, given), "{given}");
        }
        for given in [
            "",
            "MIG-",
            "MIG",
            "26c",
            "MIG-26c",
            "GPU-26c7",
            "6c70",
            "26c70136",
            "é26c7",
            "26c70135-ae39-5291-95f8-d08b71b05dbb0",
        ] {
            assert!(!begins("MIG-", uuid, given), "{given}");
        }
    }
}
