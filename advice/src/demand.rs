//! What jobs asked for.

use crate::kinds::{KindIndex, Kinds};
use crate::random::Random;

/// Jobs that ask for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// What they need at least.
    pub need: KindIndex,
    /// How many of it on each node.
    pub count: u32,
    /// Nodes.
    pub nodes: u32,
}

/// One job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it could first have started, in seconds.
    pub submit: u32,
    /// How long it ran, in seconds.
    pub run: u32,
    /// Its time limit, in seconds.
    pub limit: u32,
    /// Higher goes first.
    pub priority: u32,
    /// Position in [`Demand::classes`].
    pub class: u16,
}

/// Jobs, by ascending submission, and what they asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Every different request.
    pub classes: Vec<Class>,
    /// The jobs.
    pub jobs: Vec<Request>,
}

/// Different requests, at most. Real jobs have some dozens.
pub const MOST_CLASSES: usize = 1000;

/// A day, in seconds.
pub(crate) const DAY: u32 = 24 * 3600;

impl Demand {
    /// The position of a class, which is added where it is new; `None` beyond [`MOST_CLASSES`].
    pub fn class(&mut self, class: Class) -> Option<u16> {
        let known = self.classes.iter().position(|other| *other == class);
        if known.is_none() && self.classes.len() < MOST_CLASSES {
            self.classes.push(class);
            return u16::try_from(self.classes.len() - 1).ok();
        }
        known.and_then(|position| u16::try_from(position).ok())
    }

    /// Puts the jobs in order.
    pub fn sort(&mut self) {
        self.jobs.sort_by_key(|job| job.submit);
    }

    /// Seconds from the first submission to the last.
    pub fn span(jobs: &[Request]) -> u32 {
        jobs.first().zip(jobs.last()).map_or(0, |(first, last)| last.submit - first.submit)
    }

    /// Placement units times seconds that jobs need.
    pub fn work(&self, kinds: &Kinds, jobs: &[Request]) -> f64 {
        let of = |job: &Request| {
            let Class { need, count, nodes } = self.classes[usize::from(job.class)];
            f64::from(kinds.all[need].units) * f64::from(count) * f64::from(nodes) * f64::from(job.run)
        };
        jobs.iter().map(of).sum()
    }

    /// How many equal jobs would leave the work as uncertain as these: the square of the sum of their work by the sum of
    /// its squares (Kish's effective sample size). A few jobs that run for months count for little.
    pub fn effective(&self, kinds: &Kinds, jobs: &[Request]) -> f64 {
        let squares: f64 = jobs.iter().map(|job| self.work(kinds, std::slice::from_ref(job)).powi(2)).sum();
        if squares > 0.0 { self.work(kinds, jobs).powi(2) / squares } else { 0.0 }
    }

    /// What the jobs need of so many GPUs while they were submitted: 1 is all of them all the time.
    pub fn load(&self, kinds: &Kinds, gpus: u32) -> f64 {
        let room = f64::from(kinds.units) * f64::from(gpus) * f64::from(Self::span(&self.jobs));
        if room > 0.0 { self.work(kinds, &self.jobs) / room } else { 0.0 }
    }

    /// Stretches or squeezes the times of submission so that the load becomes `load`.
    pub fn set_load(&mut self, kinds: &Kinds, gpus: u32, load: f64) {
        let factor = self.load(kinds, gpus) / load;
        let first = self.jobs.first().map_or(0, |job| job.submit);
        for job in &mut self.jobs {
            job.submit = first.saturating_add((f64::from(job.submit - first) * factor) as u32);
        }
    }

    /// The first `part` of the jobs, and the others.
    pub fn split(&self, part: f64) -> (&[Request], &[Request]) {
        let at = (self.jobs.len() as f64 * part.clamp(0.0, 1.0)) as usize;
        self.jobs.split_at(at)
    }
}

/// Jobs as they could have come, too: stretches of what came, drawn at random with repetition, one behind the other.
/// The first sample is what really came, or where that is more than `most` jobs stretches of it.
pub fn samples(jobs: &[Request], count: usize, most: usize, seed: u64) -> Vec<Vec<Request>> {
    let mut random = Random::new(seed);
    let whole = jobs.len() <= most;
    let stretches = if whole { stretches(jobs) } else { equal(jobs, most / FEW_STRETCHES) };
    let wanted = if whole { stretches.len() } else { FEW_STRETCHES };
    let mut draw = |sample: usize| -> Vec<Request> {
        if sample == 0 && whole {
            return jobs.to_vec();
        }
        let (mut chosen, mut begin) = (Vec::new(), 0u32);
        for number in 0..wanted {
            let evenly = number * stretches.len() / wanted;
            let from = if sample == 0 { evenly } else { random.below(stretches.len()) };
            let Some(Stretch { jobs, first, length }) = stretches.get(from) else { break };
            let shift = |job: &Request| {
                let submit = begin.saturating_add(job.submit - first);
                Request { submit, ..*job }
            };
            chosen.extend(jobs.iter().map(shift));
            begin = begin.saturating_add(*length);
        }
        chosen
    };
    (0..count).map(&mut draw).collect()
}

/// Jobs that came one after the other.
struct Stretch<'a> {
    jobs: &'a [Request],
    /// When it begins, in seconds.
    first: u32,
    /// Seconds to the beginning of the next.
    length: u32,
}

/// Whole days, where there are enough of them and none has most of the jobs, so that the time of day stays what it was; else
/// equal numbers of jobs.
fn stretches(jobs: &[Request]) -> Vec<Stretch<'_>> {
    let days: Vec<Stretch<'_>> = jobs
        .chunk_by(|a, b| a.submit / DAY == b.submit / DAY)
        .map(|jobs| Stretch { jobs, first: jobs[0].submit / DAY * DAY, length: DAY })
        .collect();
    let largest = days.iter().map(|day| day.jobs.len()).max().unwrap_or(0);
    if days.len() >= STRETCHES && largest <= jobs.len() / 4 {
        return days;
    }
    equal(jobs, jobs.len().div_ceil(STRETCHES))
}

/// Stretches of so many jobs.
fn equal(jobs: &[Request], length: usize) -> Vec<Stretch<'_>> {
    let all: Vec<&[Request]> = jobs.chunks(length.max(1)).collect();
    let end = jobs.last().map_or(0, |job| job.submit);
    let next = |number: usize| all.get(number + 1).map_or(end, |next| next[0].submit);
    let stretch = |(number, jobs): (usize, &&'_ [Request])| {
        let first = jobs[0].submit;
        (number, first, next(number) - first)
    };
    let places: Vec<(usize, u32, u32)> = all.iter().enumerate().map(stretch).collect();
    places.into_iter().map(|(number, first, length)| Stretch { jobs: all[number], first, length }).collect()
}

/// Stretches that a sample is made of where there are more jobs than it may have: long ones, since each begins beside jobs
/// of another time.
const FEW_STRETCHES: usize = 4;

/// Stretches that jobs are cut into, at least.
const STRETCHES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use mig::Board;

    fn request(submit: u32, run: u32, class: u16) -> Request {
        Request { submit, run, limit: run, priority: 0, class }
    }

    #[test]
    fn load_is_what_is_needed_of_what_is_there_and_can_be_set() {
        let kinds = Kinds::new(&Board::by_key("a100-40gb").unwrap().geometry(), 40960, &[]);
        let mut demand = Demand::default();
        let whole = demand.class(Class { need: kinds.whole(), count: 1, nodes: 1 }).unwrap();
        let half = demand.class(Class { need: 3, count: 2, nodes: 1 }).unwrap();
        assert_eq!(demand.class(demand.classes[1]), Some(half));
        demand.jobs = vec![request(100, 50, whole), request(150, 50, half), request(200, 0, half)];
        assert_eq!(demand.load(&kinds, 1), 1.0);
        demand.set_load(&kinds, 1, 0.5);
        assert_eq!(demand.jobs.iter().map(|j| j.submit).collect::<Vec<_>>(), [100, 200, 300]);
        assert_eq!(demand.load(&kinds, 2), 0.25);
        assert_eq!(demand.split(0.34).0.len(), 1);
    }

    #[test]
    fn samples_are_made_of_what_came_and_are_the_same_again() {
        let jobs: Vec<_> = (0..1000).map(|i| request(i * 60, i % 97, 0)).collect();
        let drawn = samples(&jobs, 3, 10_000, 7);
        assert_eq!(drawn[0], jobs);
        assert_eq!(drawn, samples(&jobs, 3, 10_000, 7));
        assert_ne!(drawn[1], drawn[2]);
        for sample in &drawn {
            assert!(sample.len().abs_diff(jobs.len()) < 200);
            assert!(sample.is_sorted_by_key(|job| job.submit));
            assert!(sample.iter().all(|job| jobs.iter().any(|other| other.run == job.run)));
        }
        let few = samples(&jobs, 2, 100, 7);
        assert!(few.iter().all(|sample| sample.len() <= 200), "{} {}", few[0].len(), few[1].len());
        assert!(samples(&[], 2, 100, 7).iter().all(Vec::is_empty));
    }
}
