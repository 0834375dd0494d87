//! What of an array can start, where squeue's one line for it does not say.

use std::collections::{BTreeMap, HashSet};

use ::demand::Reason;

use crate::slurm::control::{Arrays, Part, Queued, count, spans};

/// Sets right how many elements of a waiting job can start, and how many at once, by the records of its elements. What no record
/// says stays as squeue has it.
pub(super) fn set_right(job: &mut Queued, arrays: &Arrays) {
    let Some(parts) = arrays.of(job.array).filter(|_| job.waits()) else { return };
    let Some(own) = parts.get(&job.listing.id) else { return };
    let Some((waiting, throttle)) = job.elements else {
        // An element with a name or a partition of its own has a line of its own, which has no throttle either.
        if !job.shown.contains('[') && own.throttle.is_some() {
            job.elements = Some((1, own.throttle));
        }
        return;
    };
    let (mut able, mut unable) = (Vec::new(), 0u32);
    for (part, count) in of_line(job, waiting, own, parts) {
        if part.reason.as_deref().is_some_and(|reason| matches!(Reason::from(reason), Reason::Other(_))) {
            unable = unable.saturating_add(count);
        } else {
            able.push(part);
        }
    }
    job.elements = Some((waiting.saturating_sub(unable), own.throttle.or(throttle)));
    // The line has the priority and the time of its own record, which of an array that is held says nothing of one that was released.
    if able.first().is_some_and(|first| !std::ptr::eq(*first, own)) {
        job.priority = able.iter().filter_map(|part| part.priority).max().unwrap_or(job.priority);
        job.eligible = able.iter().filter_map(|part| part.eligible).min();
    }
}

/// The records that a line of squeue is of, its own first, and how many elements each has; none where they contradict each other, for
/// then one of them is a user's text. All but its own are of one element (`job_array_split`, src/slurmctld/job_mgr.c).
fn of_line<'a>(
    job: &Queued,
    waiting: u32,
    own: &'a Part,
    parts: &'a BTreeMap<u32, Part>,
) -> Vec<(&'a Part, u32)> {
    let found = || {
        let line = spans(job.shown.split_once('[')?.1.split([']', '%']).next()?)?;
        let all = count(&own.elements).filter(|all| *all <= waiting)?;
        let rest = spans(&own.elements)?;
        let mut seen = HashSet::new();
        let mut found = vec![(own, all)];
        for part in parts.values().filter(|part| !std::ptr::eq(*part, own)) {
            let element = part.elements.parse().ok()?;
            if has(&rest, element) || !seen.insert(element) {
                return None;
            }
            if has(&line, element) {
                found.push((part, 1));
            }
        }
        Some(found)
    };
    if parts.len() > 1 { found().unwrap_or_default() } else { Vec::new() }
}

/// Whether an element is in a list that ascends.
fn has(list: &[(u64, u64)], element: u64) -> bool {
    let behind = list.partition_point(|span| span.0 <= element);
    behind > 0 && element <= list[behind - 1].1
}
