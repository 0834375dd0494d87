//! Two layouts that take turns, where demand is another by day than by night.

use replay::Shift;

use crate::curve::Curves;
use crate::demand::{DAY, Demand, Request, samples};
use crate::judge::{Course, Figures, judge};
use crate::kinds::{Cut, Kinds};
use crate::layout::{Fleet, Layout, Shares};
use crate::question::Question;
use crate::search::search;

/// Two layouts and when they change.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// Nodes that are cut alike, by day and by night.
    pub turns: Vec<Turn>,
    /// When the day begins, in seconds after midnight of the jobs' clock.
    pub from: u32,
    /// When it ends.
    pub to: u32,
    /// Nodes that change.
    pub changes: usize,
    /// What that would have meant, draining included.
    pub figures: Figures,
}

/// Nodes that are cut alike at both times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// How many GPUs are cut how from [`Calendar::from`] to [`Calendar::to`].
    pub day: Vec<(Cut, u32)>,
    /// The same at other times.
    pub night: Vec<(Cut, u32)>,
    /// Nodes.
    pub nodes: u32,
}

/// Seconds a node is gone after its last job has ended: `gresgen apply`, a restart of slurmd, and its registration.
const TAKES: u32 = 60;

/// Days that have to have been seen to speak of day and night.
const DAYS: u32 = 3;

/// A pair has to wait for less than this part of one layout to be worth draining nodes twice a day.
const WORTH: f64 = 0.9;

/// The best pair, where one does better than `single` on the jobs that the advice is learnt from; judged on `held`.
pub fn calendar(
    question: &Question<'_>,
    learn: &[Request],
    held: &[Request],
    single: &Layout,
) -> Option<Calendar> {
    let Question { kinds, fleet, demand, rules, .. } = *question;
    let (from, to) = turning_points(demand, kinds, learn)?;
    let best = |by_day: bool| -> Option<Shares> {
        let jobs: Vec<Request> = learn
            .iter()
            .filter(|job| is_day(job.submit, from, to) == by_day)
            .map(|job| Request { submit: squeezed(job.submit, from, to, by_day), ..*job })
            .collect();
        let drawn = samples(&jobs, question.samples, 40_000 / question.samples.max(1), question.seed);
        let (found, _) = search(&Curves::new(kinds, fleet, &demand.classes, &drawn));
        found.into_iter().next().map(|found| found.shares)
    };
    let day = nodes_of(&Layout::together(fleet, &best(true)?));
    let night = alike(fleet, &day, &best(false)?);
    let changes = day.iter().zip(&night).filter(|(a, b)| a != b).count();
    let cost = |jobs: &[Request]| {
        course(kinds, &day, &night, from, to, jobs, |course| {
            judge(kinds, rules, course, &demand.classes, jobs)
        })
    };
    let one = judge(kinds, rules, single, &demand.classes, learn);
    let worth = changes > 0 && cost(learn).cost() < one.cost() * WORTH;
    worth.then(|| Calendar { figures: cost(held), turns: turns(&day, &night), from, to, changes })
}

fn turns(day: &Nodes, night: &Nodes) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for (day, night) in day.iter().zip(night) {
        match turns.iter_mut().find(|turn| turn.day == *day && turn.night == *night) {
            Some(turn) => turn.nodes += 1,
            None => turns.push(Turn { day: day.clone(), night: night.clone(), nodes: 1 }),
        }
    }
    turns
}

/// How the GPUs of each node are cut.
type Nodes = Vec<Vec<(Cut, u32)>>;

fn nodes_of(layout: &Layout) -> Nodes {
    let of = |pattern: &crate::layout::Pattern| vec![pattern.gpus.clone(); pattern.nodes as usize];
    layout.patterns.iter().flat_map(of).collect()
}

/// Whether a second lies in the day.
fn is_day(at: u32, from: u32, to: u32) -> bool {
    let second = at % DAY;
    (from..to).contains(&second)
}

/// The time of a job when only days, or only nights, are put one behind the other.
fn squeezed(at: u32, from: u32, to: u32, by_day: bool) -> u32 {
    let (begin, end) = if by_day { (from, to) } else { (to, from) };
    let length = (end + DAY - begin) % DAY;
    let since = at.saturating_sub(begin);
    since / DAY * length + (since % DAY).min(length.saturating_sub(1))
}

/// Parts of the demand that have to be for other kinds at the other time, summed over the kinds; 2 is everything.
const DIFFER: f64 = 0.3;

/// When demand changes most: the two hours between which the kinds asked for differ most from those at other times.
/// `None` for less than some days, or where they hardly differ.
fn turning_points(demand: &Demand, kinds: &Kinds, jobs: &[Request]) -> Option<(u32, u32)> {
    if Demand::span(jobs) < DAYS * DAY {
        return None;
    }
    let mut hours = vec![vec![0.0; kinds.all.len()]; 24];
    for job in jobs {
        let need = demand.classes[usize::from(job.class)].need;
        hours[(job.submit % DAY / 3600) as usize][need] += demand.work(kinds, std::slice::from_ref(job));
    }
    let total: f64 = hours.iter().flatten().sum();
    let difference = |from: u32, length: u32| -> f64 {
        let part = |first: u32, length: u32, kind: usize| -> f64 {
            let sum: f64 = (first..first + length).map(|hour| hours[(hour % 24) as usize][kind]).sum();
            sum / f64::from(length) * 24.0 / total
        };
        let by_kind = |kind| (part(from, length, kind) - part(from + length, 24 - length, kind)).abs();
        (0..kinds.all.len()).map(by_kind).sum()
    };
    let pairs = (0..24).flat_map(|from| (6..=18).map(move |length| (from, length)));
    let (from, length) = pairs.max_by(|a, b| difference(a.0, a.1).total_cmp(&difference(b.0, b.1)))?;
    // The day is the part without midnight.
    let (a, b) = (from * 3600, (from + length) % 24 * 3600);
    (total > 0.0 && difference(from, length) > DIFFER).then_some((a.min(b), a.max(b)))
}

/// Shares on nodes of which as many as can be stay as they are.
fn alike(fleet: Fleet, nodes: &Nodes, shares: &Shares) -> Nodes {
    let mut rest = shares.clone();
    let mut kept: Vec<Option<Vec<(Cut, u32)>>> = vec![None; nodes.len()];
    for (node, kept) in nodes.iter().zip(&mut kept) {
        let left = |cut: &Cut| rest.iter().find(|(other, _)| other == cut).map_or(0, |(_, count)| *count);
        if node.iter().all(|(cut, count)| left(cut) >= *count) {
            for (cut, count) in node {
                rest.iter_mut().filter(|(other, _)| other == cut).for_each(|(_, left)| *left -= count);
            }
            *kept = Some(node.clone());
        }
    }
    let open = kept.iter().filter(|node| node.is_none()).count() as u32;
    let mut others = nodes_of(&Layout::together(Fleet { nodes: open, ..fleet }, &rest)).into_iter();
    kept.into_iter().map(|node| node.unwrap_or_else(|| others.next().unwrap_or_default())).collect()
}

/// Lets `judged` look at the course of days and nights over the time of some jobs.
fn course(
    kinds: &Kinds,
    day: &Nodes,
    night: &Nodes,
    from: u32,
    to: u32,
    jobs: &[Request],
    judged: impl Fn(Course<'_>) -> Figures,
) -> Figures {
    // One pattern for each node, so that the nodes of both layouts are the same.
    let layout = |nodes: &Nodes| Layout {
        patterns: nodes.iter().map(|gpus| crate::layout::Pattern { gpus: gpus.clone(), nodes: 1 }).collect(),
    };
    let (day, night) = (layout(day), layout(night));
    let (first, last) = jobs.first().zip(jobs.last()).map_or((0, 0), |(a, b)| (a.submit, b.submit));
    let slots = [day.nodes(kinds), night.nodes(kinds)];
    let mut shifts = Vec::new();
    for start in (first / DAY..=last / DAY).map(|day| day * DAY) {
        for (at, slots) in [(from, &slots[0]), (to, &slots[1])] {
            let at = start.saturating_add(at);
            let changed = (0..day.patterns.len()).filter(|&node| day.patterns[node] != night.patterns[node]);
            let shift = |node: usize| Shift { at, node, slots: slots[node].clone(), takes: TAKES };
            shifts.extend((at > first).then_some(changed.map(shift)).into_iter().flatten());
        }
    }
    shifts.sort_by_key(|shift| shift.at);
    let (now, then) = if is_day(first, from, to) { (&day, &night) } else { (&night, &day) };
    judged(Course { layout: now, shifts: &shifts, others: &[then] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::Mix;
    use mig::Board;
    use replay::Rules;

    #[test]
    fn days_and_nights_are_put_one_behind_the_other() {
        let hour = 3600;
        assert!(is_day(9 * hour, 8 * hour, 20 * hour) && !is_day(DAY, 8 * hour, 20 * hour));
        let at = |day: u32, h: u32| day * DAY + h * hour;
        let by_day = |t| squeezed(t, 8 * hour, 20 * hour, true);
        assert_eq!([by_day(at(0, 8)), by_day(at(0, 19)), by_day(at(1, 8))], [0, 11 * hour, 12 * hour]);
        let by_night = |t| squeezed(t, 8 * hour, 20 * hour, false);
        assert_eq!([by_night(at(0, 20)), by_night(at(1, 7)), by_night(at(1, 20))], [0, 11 * hour, 12 * hour]);
    }

    #[test]
    fn nodes_that_can_stay_do() {
        let fleet = Fleet { nodes: 3, gpus: 2 };
        let (whole, small) = (vec![0, 1], vec![7, 0]);
        let day = nodes_of(&Layout::together(fleet, &vec![(whole.clone(), 2), (small.clone(), 4)]));
        let night = alike(fleet, &day, &vec![(whole.clone(), 4), (small.clone(), 2)]);
        assert_eq!(night, [vec![(whole.clone(), 2)], vec![(small, 2)], vec![(whole, 2)]]);
    }

    /// Small jobs by day and whole GPUs by night, on nodes that can be recut one by one.
    #[test]
    fn a_pair_is_found_where_days_and_nights_differ_and_none_where_they_do_not() {
        let kinds = Kinds::new(&Board::by_key("a100-40gb").unwrap().geometry(), 40960, &[]);
        let fleet = Fleet { nodes: 12, gpus: 1 };
        let (small, large) = (vec![(0, 1.0), (3, 0.2)], vec![(kinds.whole(), 1.0)]);
        let advice = |weights| {
            let mix = Mix { weights, median: 900.0, sigma: 0.5, longest: 7200 };
            let demand = mix.jobs(&kinds, fleet, 0.5, 10_000, 3);
            let question = Question {
                kinds: &kinds,
                fleet,
                demand: &demand,
                present: None,
                rules: Rules::default(),
                learn: 0.5,
                samples: 2,
                seed: 1,
            };
            let (learn, held) = demand.split(0.5);
            let half = Layout::together(fleet, &vec![(kinds.uncut(), 6), (vec![4, 0, 0, 1, 0, 0], 6)]);
            calendar(&question, learn, held, &half)
        };
        let found = advice([small.clone(), large.clone()]).expect("days and nights differ");
        assert_eq!((found.from, found.to), (8 * 3600, 20 * 3600));
        let whole = |gpus: &[(Cut, u32)]| gpus.iter().all(|(cut, _)| *cut == kinds.uncut());
        assert!(found.turns.iter().all(|turn| whole(&turn.night)));
        assert!(found.turns.iter().any(|turn| !whole(&turn.day)));
        assert!(found.changes > 0 && found.figures.never == 0);
        assert!(advice([large.clone(), large]).is_none());
    }
}
