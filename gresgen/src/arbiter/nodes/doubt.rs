//! Signs that a node is not any more what was last seen of it: an admin may cut it beside the arbiter.

/// What slurmctld shows of a node, beside the last look at it.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Its `Gres=`, in the last answer.
    shown: Option<String>,
    /// The same when the look under way began; `None` where an order goes before it, which changes it.
    begun: Option<String>,
    /// The same when the last look began; `None`: the next answer says it.
    seen: Option<String>,
    /// Since when there always was a job that waits for what is free there.
    free: Option<u64>,
    /// No look is asked for until then.
    until: u64,
}

/// Seconds between two looks at a node that are asked for here.
const AGAIN: u64 = 5;

/// Seconds for which a job has to wait for what is free. Slurm's next pass comes sooner, three seconds after the one before
/// (slurm.conf(5), `batch_sched_delay`).
const LONG: u64 = 8;

impl Doubt {
    /// Takes in what slurmctld shows. Whether the node has changed since it was seen: every change of its records changes the gate, and
    /// with the last open one of a type its sockets go.
    pub(super) fn shows(&mut self, gres: &str, is_idle: bool, now: u64) -> bool {
        if self.shown.as_deref() != Some(gres) {
            self.shown = Some(gres.to_owned());
        }
        if !is_idle {
            return false;
        }
        let seen = self.seen.get_or_insert_with(|| gres.to_owned());
        seen != gres && self.asks(now)
    }

    /// Takes in whether a job waits for what is free there, as it was seen. Whether it is to be seen now: after some seconds, and again
    /// each time that it has lasted twice as long.
    pub(super) fn is_free(&mut self, is: bool, seen: u64, now: u64) -> bool {
        if !is {
            self.free = None;
            return false;
        }
        let since = *self.free.get_or_insert(now);
        let lasts = now.saturating_sub(since);
        lasts >= LONG && seen <= since.saturating_add(lasts / 2) && self.asks(now)
    }

    fn asks(&mut self, now: u64) -> bool {
        let asks = now >= self.until;
        if asks {
            self.until = now.saturating_add(AGAIN);
        }
        asks
    }

    /// A look has begun, or an order and a look behind it.
    pub(super) fn began(&mut self, orders: bool) {
        self.begun = self.shown.clone().filter(|_| !orders);
    }

    /// The look has come.
    pub(super) fn was_seen(&mut self) {
        self.seen = self.begun.take();
    }

    /// The clock was set back to this time.
    pub(super) fn set_back(&mut self, now: u64) {
        self.until = self.until.min(now);
        self.free = self.free.map(|since| since.min(now));
    }
}
