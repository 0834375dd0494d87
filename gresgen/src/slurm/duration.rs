//! How long something takes, as Slurm writes it.

/// Seconds of `[days-]hours:minutes:seconds`, of `minutes:seconds` as squeue prints them, or of a number of `unit` seconds each.
pub(crate) fn duration(text: &str, unit: u32) -> Option<u32> {
    if let Ok(number) = text.parse::<u32>() {
        return number.checked_mul(unit);
    }
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let parts: Vec<u32> = clock.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes, seconds] => (hours, minutes, seconds),
        [minutes, seconds] if clock == text => (0, minutes, seconds),
        _ => return None,
    };
    let days: u32 = days.parse().ok()?;
    days.checked_mul(24)?
        .checked_add(hours)?
        .checked_mul(3600)?
        .checked_add(minutes.checked_mul(60)?.checked_add(seconds)?)
}
