//! What waits of job arrays, by the records of jobs.
//!
//! squeue has one line for what waits of an array, though elements that were held, changed or requeued have records of their own;
//! where some have, the line has no throttle any more (`_combine_pending_array_tasks`, src/squeue/print.c). The records say which
//! element waits for what, and each has the throttle:
//!
//! ```text
//! JobId=4 ArrayJobId=3 ArrayTaskId=3 ArrayTaskThrottle=2 JobName=… JobState=PENDING Reason=JobHeldUser …
//! JobId=3 ArrayJobId=3 ArrayTaskId=0-2,4-9%2 ArrayTaskThrottle=2 JobName=… JobState=PENDING Reason=Priority …
//! ```
//!
//! What stands before the name slurmctld writes. Behind it a word counts where it stands once, for users write there, too.

use std::collections::{BTreeMap, HashMap, HashSet};

/// Arrays, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrays(HashMap<u32, Option<BTreeMap<u32, Part>>>);

/// Elements of an array that have one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    array: u32,
    /// Which they are, as in `ArrayTaskId=`.
    pub(crate) elements: String,
    /// How many elements of the array may run at once.
    pub(crate) throttle: Option<u32>,
    /// Why they wait; `None` where the record does not say.
    pub(crate) reason: Option<String>,
    pub(crate) priority: Option<u64>,
    /// Since when they can run, in seconds since 1970.
    pub(crate) eligible: Option<u64>,
}

impl Arrays {
    /// Of the records of jobs with their numbers, and the numbers that stand there twice: one of these is in another job's text, and
    /// what it says of its array may be wrong.
    pub(super) fn new(parts: Vec<(u32, Part)>, twice: &HashSet<u32>) -> Self {
        let mut arrays: HashMap<u32, Option<BTreeMap<u32, Part>>> = HashMap::new();
        for (id, part) in parts {
            let known = arrays.entry(part.array).or_insert_with(|| Some(BTreeMap::new()));
            if twice.contains(&id) {
                *known = None;
            } else if let Some(known) = known {
                known.insert(id, part);
            }
        }
        Arrays(arrays)
    }

    /// The records of an array by the number of their job; `None` where they do not say.
    pub(crate) fn of(&self, array: u32) -> Option<&BTreeMap<u32, Part>> {
        self.0.get(&array)?.as_ref()
    }
}

impl Part {
    /// Reads what follows `JobId=4 ` in a record; `None` for a job that is of no array.
    pub(super) fn parse(record: &str) -> Option<Self> {
        let (array, rest) = record.strip_prefix("ArrayJobId=")?.split_once(" ArrayTaskId=")?;
        let (elements, rest) = rest.split_once(' ')?;
        let throttle = rest.strip_prefix("ArrayTaskThrottle=").and_then(|rest| rest.split(' ').next());
        let (named, said) = once(rest, " JobState=").unzip();
        let word = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
        let reason = said.and_then(|said| said.split_once(" Reason=")).map(|(_, rest)| word(rest));
        // No user writes between the state and this.
        let eligible = said.and_then(|said| said.split_once(" EligibleTime=")).map(|(_, rest)| word(rest));
        let priority = named.and_then(|named| once(named, " Priority=")).map(|(_, rest)| word(rest));
        Some(Part {
            array: array.parse().ok()?,
            elements: elements.split('%').next().unwrap_or_default().to_owned(),
            throttle: throttle.and_then(|most| most.parse().ok()).filter(|most| *most > 0),
            reason,
            priority: priority.and_then(|priority| priority.parse().ok()),
            eligible: eligible.and_then(|since| since.parse().ok()),
        })
    }
}

/// What stands before and behind a text that stands there once.
fn once<'a>(text: &'a str, key: &str) -> Option<(&'a str, &'a str)> {
    text.split_once(key).filter(|(_, rest)| !rest.contains(key))
}
