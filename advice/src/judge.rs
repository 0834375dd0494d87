//! What a layout would have meant for jobs.

use std::cell::Cell;

use replay::{Cluster, Job, Rules, Shift, Start, Waits, replay};

use crate::demand::{Class, Demand, Request};
use crate::kinds::Kinds;
use crate::layout::Layout;

/// What became of the jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// How long those that started waited.
    pub waits: Waits,
    /// Jobs that could not run.
    pub never: usize,
    /// Part of all placement units given to jobs, 0 to 1, between the first submission and the last.
    pub utilisation: f64,
}

impl Figures {
    /// What layouts are compared by: jobs that cannot run first, then the mean wait.
    pub fn cost(&self) -> f64 {
        let jobs = (self.waits.count() + self.never).max(1) as f64;
        (self.waits.total() as f64 + self.never as f64 * NEVER) / jobs
    }
}

/// Seconds that a job that cannot run counts for: more than any trace is long.
pub const NEVER: f64 = 1e10;

/// A layout, and others that nodes take on later.
#[derive(Clone, Copy, Debug)]
pub struct Course<'a> {
    /// What there is first.
    pub layout: &'a Layout,
    /// What follows, by node.
    pub shifts: &'a [Shift],
    /// Layouts that the shifts lead to: a kind that one of them has is on offer all the time.
    pub others: &'a [&'a Layout],
}

impl<'a> From<&'a Layout> for Course<'a> {
    fn from(layout: &'a Layout) -> Self {
        Course { layout, shifts: &[], others: &[] }
    }
}

/// Replays jobs of these classes.
pub fn judge<'a>(
    kinds: &Kinds,
    rules: Rules,
    course: impl Into<Course<'a>>,
    classes: &[Class],
    jobs: &[Request],
) -> Figures {
    let course = course.into();
    let gpus: u32 = course.layout.shares().iter().map(|(_, count)| count).sum();
    let (cluster, to_job) = on_offer(kinds, course, classes);
    let (first, last) = jobs.first().zip(jobs.last()).map_or((0, 0), |(a, b)| (a.submit, b.submit));
    let mut figures = Figures::default();
    let mut given_units = 0.0;
    replay(&cluster, rules, course.shifts, jobs.iter().map(to_job), |_, job, start| {
        let Start::At(start) = start else {
            figures.never += 1;
            return;
        };
        figures.waits.add(start - job.submit);
        let seconds = start.saturating_add(job.run).min(last).saturating_sub(start.max(first));
        let slots = f64::from(job.count) * f64::from(job.nodes);
        given_units += f64::from(seconds) * slots * f64::from(kinds.all[usize::from(job.pool)].units);
    });
    let room = f64::from(Demand::span(jobs)) * f64::from(gpus) * f64::from(kinds.units);
    figures.utilisation = if room > 0.0 { given_units / room } else { 0.0 };
    figures
}

/// What the jobs cost on a layout together, in seconds, [`NEVER`] for each that cannot run; `None` as soon as it is clear that
/// this is not below `most`.
pub fn total_below(
    kinds: &Kinds,
    rules: Rules,
    layout: &Layout,
    classes: &[Class],
    jobs: &[Request],
    most: f64,
) -> Option<f64> {
    let (cluster, to_job) = on_offer(kinds, layout.into(), classes);
    let total = Cell::new(0.0);
    // Jobs that wait, and their times of submission together: what they have waited so far counts before they start.
    let waiting = Cell::new((0.0, 0.0));
    let wait = |jobs: f64, submit: u32| {
        let (count, submits) = waiting.get();
        waiting.set((count + jobs, submits + jobs * f64::from(submit)));
    };
    // The next job is asked for when the one before it comes, not later.
    let now = Cell::new(0);
    let more = |request: &Request| {
        let (count, submits) = waiting.get();
        let so_far = total.get() + count * f64::from(now.replace(request.submit)) - submits;
        wait(1.0, request.submit);
        (so_far < most).then(|| to_job(request))
    };
    let mut came = 0;
    let coming = jobs.iter().map_while(more).inspect(|_| came += 1);
    replay(&cluster, rules, &[], coming, |_, job, start| {
        wait(-1.0, job.submit);
        total.set(match start {
            Start::At(start) => total.get() + f64::from(start - job.submit),
            Start::Never => total.get() + NEVER,
        });
    });
    (came == jobs.len() && total.get() < most).then_some(total.get())
}

/// The slots of a layout, and what a request asks for there.
fn on_offer<'a>(
    kinds: &Kinds,
    Course { layout, others, .. }: Course<'_>,
    classes: &'a [Class],
) -> (Cluster, impl Fn(&Request) -> Job + use<'a>) {
    let pools: Vec<Vec<u32>> = (0..kinds.all.len()).map(|kind| layout.slots(kind)).collect();
    let nodes = pools.first().map_or(0, Vec::len);
    let on_offer = |kind: usize| layout.total(kind) > 0 || others.iter().any(|other| other.total(kind) > 0);
    let given: Vec<Option<usize>> = classes.iter().map(|class| kinds.given(class.need, on_offer)).collect();
    let to_job = move |request: &Request| {
        let class = usize::from(request.class);
        let Class { count, nodes: wanted, .. } = classes[class];
        let Request { submit, run, limit, priority, .. } = *request;
        // No node has as many as this asks for.
        let wanted = if given[class].is_some() { wanted } else { nodes as u32 + 1 };
        let pool = given[class].unwrap_or_default() as u16;
        Job { submit, run, limit, priority, pool, count, nodes: wanted }
    };
    (Cluster { pools }, to_job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Fleet;
    use mig::Board;

    #[test]
    fn jobs_go_where_they_fit_and_what_fits_nowhere_is_counted() {
        let kinds = Kinds::new(&Board::by_key("a100-40gb").unwrap().geometry(), 40960, &[]);
        let fleet = Fleet { nodes: 1, gpus: 2 };
        let classes = [
            Class { need: 0, count: 1, nodes: 1 },
            Class { need: kinds.whole(), count: 1, nodes: 1 },
            Class { need: kinds.whole(), count: 2, nodes: 1 },
        ];
        let job = |submit, class| Request { submit, run: 100, limit: 100, priority: 0, class };
        let jobs = [job(0, 0), job(0, 0), job(0, 0), job(100, 1), job(200, 2)];
        let whole = judge(&kinds, Rules::default(), &Layout::uniform(fleet, kinds.uncut()), &classes, &jobs);
        // Three small jobs on two GPUs, and the last waits for nobody.
        assert_eq!((whole.waits.total(), whole.never), (100, 0));
        let mut cut = vec![0; kinds.all.len()];
        cut[0] = 7;
        let half = Layout::together(fleet, &vec![(kinds.uncut(), 1), (cut.clone(), 1)]);
        let figures = judge(&kinds, Rules::default(), &half, &classes, &jobs);
        assert_eq!((figures.waits.total(), figures.never), (0, 1));
        // Three eighths for 100 s and a whole GPU for 100 s, of two GPUs for 200 s.
        assert_eq!(figures.utilisation, (3.0 * 100.0 + 8.0 * 100.0) / (16.0 * 200.0));
        let all = judge(&kinds, Rules::default(), &Layout::uniform(fleet, cut), &classes, &jobs);
        assert_eq!(all.never, 2);
        assert!(figures.cost() > whole.cost() && all.cost() > figures.cost());
        for layout in [Layout::uniform(fleet, kinds.uncut()), half] {
            let total = judge(&kinds, Rules::default(), &layout, &classes, &jobs).cost() * jobs.len() as f64;
            let below = |most| total_below(&kinds, Rules::default(), &layout, &classes, &jobs, most);
            assert_eq!((below(total), below(total + 1.0)), (None, Some(total)));
            assert_eq!(below(0.0), None);
        }
    }
}
