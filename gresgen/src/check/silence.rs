//! Whether what orders have closed is still somebody's to open.

use super::{Facts, Link};
use crate::words::span;

pub(super) fn judge(facts: &Facts) -> Option<Link> {
    let (count, since) = facts.silence?;
    let closed =
        if count == 1 { "1 slice is closed".to_owned() } else { format!("{count} slices are closed") };
    let what = format!("{closed}, and no order and no look has come for {}", span(since.as_secs()));
    let fix = "see to the arbiter, which opens what nobody waits for; without one: gresgen apply --open";
    Some(Link::warn("closed", what, fix))
}
