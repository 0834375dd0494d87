//! Elements of a job array as Slurm lists them: `0-9`, `1,3,5-399:2`.

/// Most elements of an array (slurm.conf(5), MaxArraySize).
const MOST: u64 = 4_000_001;

/// First and last of each range of a list, and the step between; `None` for one that cannot be read.
fn ranges(list: &str) -> impl Iterator<Item = Option<(u64, u64, u64)>> {
    list.split(',').map(|range| {
        let (range, step) = range.split_once(':').unwrap_or((range, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last, step) = (first.parse().ok()?, last.parse().ok()?, step.parse().ok()?);
        (first <= last && step > 0).then_some((first, last, step))
    })
}

/// How many there are.
pub(crate) fn count(list: &str) -> Option<u32> {
    let all = ranges(list).try_fold(0u64, |sum, range| {
        let (first, last, step) = range?;
        sum.checked_add(((last - first) / step).checked_add(1)?)
    })?;
    u32::try_from(all).ok().filter(|_| all <= MOST)
}

/// First and last of those that follow each other.
pub(crate) fn spans(list: &str) -> Option<Vec<(u64, u64)>> {
    count(list)?;
    let mut spans = Vec::new();
    for range in ranges(list) {
        match range? {
            (first, last, 1) => spans.push((first, last)),
            (first, last, step) => {
                let step = usize::try_from(step).unwrap_or(usize::MAX);
                spans.extend((first..=last).step_by(step).map(|one| (one, one)));
            }
        }
    }
    Some(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_counted() {
        for (list, due) in [
            ("0-9", Some(10)),
            ("1-399:2", Some(200)),
            ("1,3,5-7", Some(5)),
            ("4", Some(1)),
            ("0-4000000", Some(4_000_001)),
            ("0-4000001", None),
            ("0-18446744073709551615", None),
            ("9-0", None),
            ("0-9:0", None),
            ("1,2,...", None),
            ("N/A", None),
        ] {
            assert_eq!(count(list), due, "{list}");
            let spans =
                spans(list).map(|spans| spans.iter().map(|(first, last)| last - first + 1).sum::<u64>());
            assert_eq!(spans, due.map(u64::from), "{list}");
        }
    }
}
