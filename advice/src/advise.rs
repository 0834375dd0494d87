//! The advice: learnt from the first part of the jobs, tried on the others.

use replay::Rules;

use crate::calendar::{Calendar, calendar};
use crate::curve::Curves;
use crate::demand::{Class, Request, samples};
use crate::judge::{Figures, judge};
use crate::kinds::Kinds;
use crate::layout::{Fleet, Layout};
use crate::question::Question;
use crate::refine::Task;
use crate::search::search;

/// One layout, judged.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The layout.
    pub layout: Layout,
    /// What it would have meant for the jobs that it was not learnt from.
    pub figures: Figures,
}

/// The advice.
#[derive(Clone, Debug)]
pub struct Advice {
    /// The layout advised.
    pub advised: Judged,
    /// The layout that there is, where it is known.
    pub present: Option<Judged>,
    /// Every GPU left whole.
    pub whole: Judged,
    /// The layout advised, with one waiting job planned alone (`bf_job_part_count_reserve=1`).
    pub one_reservation: Figures,
    /// Mean waiting, in seconds, below which no layout that runs every job gets these jobs, if jobs of one kind do not hinder those of another.
    pub bound: f64,
    /// Two layouts that take turns, where they do better than one.
    pub calendar: Option<Calendar>,
    /// How sure it is.
    pub sure: Sure,
    /// Jobs that it was learnt from, and jobs that judged it.
    pub jobs: (usize, usize),
    /// As how many equal jobs those that it was learnt from count ([`crate::demand::Demand::effective`]).
    pub effective: f64,
}

/// How the advice holds when the jobs come otherwise: stretches of the time judged, drawn anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Sure {
    /// Samples.
    pub samples: usize,
    /// Samples in which the layout advised is no worse than whole GPUs.
    pub beats_whole: usize,
    /// Samples in which it is no worse than the present layout.
    pub beats_present: Option<usize>,
    /// Least and greatest mean waiting with the layout advised, in seconds.
    pub range: (f64, f64),
}

/// Jobs that all samples to learn from have together, at most.
const LEARN: usize = 40_000;

/// Nodes from which on replays are made cheaper: each node is looked at for each job that waits.
const MANY: u32 = 32;

/// Jobs that a pass of backfill looks at in replays on many nodes.
const DEPTH: usize = 100;

/// Jobs that judge, at most.
fn judging(fleet: Fleet) -> usize {
    if fleet.nodes > MANY { 20_000 } else { 60_000 }
}

/// Jobs of a sample for each GPU, at least, where there are so many: else none would find the GPUs as busy as they are.
const PER_GPU: usize = 20;

/// Samples: with many GPUs fewer and longer ones do.
fn sample_count(question: &Question<'_>) -> usize {
    let most = LEARN / (PER_GPU * question.fleet.total() as usize).max(1);
    question.samples.min(most.max(2)).max(1)
}

/// Jobs below which an advice is not worth much: a type that a tenth of them ask for has been seen some dozens of times.
pub const FEW: usize = 300;

/// Layouts of the search that are replayed.
const REPLAYED: usize = 4;

/// Jobs replayed to change what was chosen GPU by GPU, at most.
const REFINED: usize = 400_000;

/// A layout has to wait for less than this part of what there is already, in nearly all samples, to be worth the
/// change.
const WORTH: f64 = 0.9;

/// And it has to save more than so many standard errors of what the jobs need, which they tell with the certainty of
/// [`crate::demand::Demand::effective`] jobs.
const ERRORS: f64 = 3.0;

/// The advice for a group of nodes.
pub fn advise(question: &Question<'_>) -> Advice {
    let mut question = question.clone();
    if question.fleet.nodes > MANY {
        question.rules.depth = question.rules.depth.min(DEPTH);
    }
    let question = &question;
    let Question { kinds, fleet, demand, .. } = *question;
    let (first, rest) = demand.split(question.learn);
    let count = sample_count(question);
    let learn = samples(first, count, LEARN / count, question.seed);
    let whole = Layout::uniform(fleet, kinds.uncut());
    let advised = choose(question, &learn, &whole, demand.effective(kinds, first));

    let held = samples(rest, 1, judging(fleet), question.seed);
    let curves = Curves::new(kinds, fleet, &demand.classes, &held);
    let (_, bound) = search(&curves);
    let judged = |layout: &Layout| Judged {
        layout: layout.clone(),
        figures: judge(kinds, question.rules, layout, &demand.classes, &held[0]),
    };
    let one = Rules { reserve: 1, ..question.rules };
    Advice {
        one_reservation: judge(kinds, one, &advised, &demand.classes, &held[0]),
        present: question.present.as_ref().map(judged),
        whole: judged(&whole),
        // Samples of many jobs have lost the time of day.
        calendar: (first.len().max(rest.len()) <= judging(fleet))
            .then(|| calendar(question, first, rest, &advised))
            .flatten(),
        sure: sure(question, rest, &advised, &whole),
        advised: judged(&advised),
        bound,
        jobs: (first.len(), rest.len()),
        effective: demand.effective(kinds, first),
    }
}

/// The layout that does best on the samples; one that there is already, or whole GPUs, unless another is clearly better.
fn choose(question: &Question<'_>, learn: &[Vec<Request>], whole: &Layout, effective: f64) -> Layout {
    let Question { kinds, fleet, demand, rules, .. } = *question;
    let curves = Curves::new(kinds, fleet, &demand.classes, learn);
    let (found, _) = search(&curves);
    let candidates = found.iter().take(REPLAYED).flat_map(|found| {
        // On many nodes alike cuts side by side hinder each other less than any mixture.
        let spread = (fleet.nodes <= MANY).then(|| Layout::spread(fleet, &found.shares));
        [Some(Layout::together(fleet, &found.shares)), spread].into_iter().flatten()
    });
    let costs = |layout: &Layout| costs(question, layout, learn);
    let mut best = (whole.clone(), costs(whole));
    if let Some(present) = &question.present {
        let there = costs(present);
        if mean(&there) <= mean(&best.1) {
            best = (present.clone(), there);
        }
    }
    let mut other: Option<(Layout, Vec<f64>)> = None;
    for layout in candidates {
        let costs = costs(&layout);
        if other.as_ref().is_none_or(|(_, best)| mean(&costs) < mean(best)) {
            other = Some((layout, costs));
        }
    }
    let Some((mut layout, mut costs)) = other else { return best.0 };
    if fleet.nodes <= MANY {
        let wanted = curves.wanted();
        let cuts = kinds.cuts_of(|kind| wanted.contains(&kind));
        let task =
            Task { kinds, rules, classes: &demand.classes, samples: learn, cuts: &cuts, seed: question.seed };
        layout = task.refine(&layout, REFINED);
        costs = self::costs(question, &layout, learn);
    }
    let better = costs.iter().zip(&best.1).filter(|(new, old)| new <= old).count();
    let clear = mean(&costs) < mean(&best.1) * (1.0 - ERRORS / effective.sqrt()).min(WORTH)
        && better + 1 >= costs.len();
    if clear { layout } else { best.0 }
}

fn sure(question: &Question<'_>, rest: &[Request], advised: &Layout, whole: &Layout) -> Sure {
    let count = sample_count(question);
    let drawn = samples(rest, count + 1, judging(question.fleet) / count, question.seed.wrapping_add(1));
    let costs = |layout: &Layout| costs(question, layout, &drawn[1..]);
    let new = costs(advised);
    let beats = |old: &Layout| new.iter().zip(costs(old)).filter(|(new, old)| *new <= old).count();
    Sure {
        samples: new.len(),
        beats_whole: beats(whole),
        beats_present: question.present.as_ref().map(beats),
        range: new.iter().fold((f64::INFINITY, 0.0), |(low, high), &cost| (low.min(cost), high.max(cost))),
    }
}

/// What each sample costs on a layout, in seconds a job.
fn costs(question: &Question<'_>, layout: &Layout, samples: &[Vec<Request>]) -> Vec<f64> {
    let Question { kinds, demand, rules, .. } = *question;
    samples.iter().map(|jobs| judge(kinds, rules, layout, &demand.classes, jobs).cost()).collect()
}

fn mean(costs: &[f64]) -> f64 {
    costs.iter().sum::<f64>() / costs.len().max(1) as f64
}

/// Classes that no layout can serve: they ask for more than a node, or the nodes, have.
pub fn too_large(fleet: Fleet, class: &Class, kinds: &Kinds) -> bool {
    let most = kinds.cuts.iter().map(|cut| cut[class.need]).max().unwrap_or(0).max(1);
    class.nodes > fleet.nodes || class.count > most * fleet.gpus || class.count == 0 || class.nodes == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::Demand;
    use crate::kinds::KindIndex;
    use crate::synthetic::Mix;
    use mig::Board;

    const FLEET: Fleet = Fleet { nodes: 2, gpus: 4 };

    fn kinds() -> Kinds {
        Kinds::new(&Board::by_key("a100-40gb").unwrap().geometry(), 40960, &[])
    }

    fn asked(kinds: &Kinds, weights: &[(KindIndex, f64)], jobs: usize, present: Option<Layout>) -> Advice {
        let weights = [weights.to_vec(), weights.to_vec()];
        let demand =
            Mix { weights, median: 900.0, sigma: 1.0, longest: 36_000 }.jobs(kinds, FLEET, 0.7, jobs, 5);
        let ask = || {
            advise(&Question {
                kinds,
                fleet: FLEET,
                demand: &demand,
                present: present.clone(),
                rules: Rules { reserve: 1, ..Rules::default() },
                learn: 0.4,
                samples: 4,
                seed: 1,
            })
        };
        let (first, again) = (ask(), ask());
        assert_eq!(first.advised.layout, again.advised.layout);
        assert_eq!(first.sure, again.sure);
        first
    }

    #[test]
    fn small_jobs_are_given_slices_and_hardly_wait() {
        let kinds = kinds();
        let advice = asked(&kinds, &[(0, 0.5), (3, 0.4), (kinds.whole(), 0.1)], 3000, None);
        let (advised, whole) = (&advice.advised.figures, &advice.whole.figures);
        assert!(!advice.advised.layout.is_whole(&kinds));
        assert!(advised.waits.mean() < whole.waits.mean() / 5.0);
        assert!(advice.bound <= advised.cost() && advised.never == 0);
        assert_eq!((advice.sure.beats_whole, advice.sure.samples, advice.jobs), (4, 4, (1200, 1800)));
    }

    #[test]
    fn jobs_that_want_whole_gpus_have_them_left_whole() {
        let kinds = kinds();
        let advice = asked(&kinds, &[(0, 0.02), (kinds.whole(), 0.98)], 2000, None);
        assert!(advice.advised.layout.is_whole(&kinds));
    }

    #[test]
    fn a_layout_that_does_nearly_as_well_stays() {
        let kinds = kinds();
        let weights = [(0, 0.5), (3, 0.4), (kinds.whole(), 0.1)];
        let best = asked(&kinds, &weights, 3000, None).advised.layout;
        let advice = asked(&kinds, &weights, 3000, Some(best.clone()));
        assert_eq!(advice.advised.layout, best);
        assert_eq!(advice.sure.beats_present, Some(4));
    }

    #[test]
    fn the_work_of_a_few_giants_changes_nothing() {
        let kinds = kinds();
        let mut demand = Demand::default();
        let small = demand.class(Class { need: 0, count: 1, nodes: 1 }).unwrap();
        let job = |i: u32| Request {
            submit: i * 60,
            run: if i.is_multiple_of(100) { 3_000_000 } else { 600 },
            limit: 4_000_000,
            priority: 0,
            class: small,
        };
        demand.jobs = (0..1000).map(job).collect();
        let question = Question {
            kinds: &kinds,
            fleet: FLEET,
            demand: &demand,
            present: None,
            rules: Rules::default(),
            learn: 0.3,
            samples: 3,
            seed: 1,
        };
        let advice = advise(&question);
        assert!(advice.effective < 9.0 && advice.advised.layout.is_whole(&kinds));
    }

    #[test]
    fn nothing_is_below_the_bound() {
        let kinds = kinds();
        let steady = vec![(0, 0.4), (2, 0.2), (3, 0.25), (kinds.whole(), 0.15)];
        let mix = Mix { weights: [steady.clone(), steady], median: 900.0, sigma: 1.0, longest: 36_000 };
        for fleet in [FLEET, Fleet { nodes: 8, gpus: 8 }] {
            let demand = mix.jobs(&kinds, fleet, 0.8, 1500, 2);
            let drawn = vec![demand.jobs.clone()];
            let curves = Curves::new(&kinds, fleet, &demand.classes, &drawn);
            let (found, bound) = search(&curves);
            assert!(bound <= found[0].cost && found.is_sorted_by(|a, b| a.cost <= b.cost));
            for found in &found[..8] {
                let layout = Layout::together(fleet, &found.shares);
                let figures = judge(&kinds, Rules::default(), &layout, &demand.classes, &demand.jobs);
                assert!(figures.cost() >= bound, "{} {bound}", figures.cost());
                let gpus: u32 = found.shares.iter().map(|(_, count)| count).sum();
                assert_eq!(gpus, fleet.total());
            }
        }
    }
}
