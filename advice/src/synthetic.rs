//! Jobs made up from a seed, to try layouts and this program on.

use crate::demand::{Class, Demand, Request};
use crate::kinds::{KindIndex, Kinds};
use crate::layout::Fleet;
use crate::random::Random;

/// What jobs are made up from.
#[derive(Clone, Debug)]
pub struct Mix {
    /// How often each kind is asked for, by day and by night.
    pub weights: [Vec<(KindIndex, f64)>; 2],
    /// Median of the run times, which are log-normal, in seconds.
    pub median: f64,
    /// Standard deviation of their logarithm.
    pub sigma: f64,
    /// The longest, in seconds.
    pub longest: u32,
}

impl Mix {
    /// Jobs for a fleet, at random times such that they need `load` of it. Limits are one to four times the run time. A
    /// day lasts from 08:00 to 20:00.
    pub fn jobs(&self, kinds: &Kinds, fleet: Fleet, load: f64, jobs: usize, seed: u64) -> Demand {
        let mut random = Random::new(seed);
        let mut demand = Demand::default();
        let units = |weights: &[(KindIndex, f64)]| {
            let all: f64 = weights.iter().map(|(_, weight)| weight).sum();
            weights.iter().map(|&(kind, weight)| f64::from(kinds.all[kind].units) * weight / all).sum::<f64>()
        };
        // The mean of a log-normal distribution.
        let mean = self.median * (self.sigma * self.sigma / 2.0).exp();
        let room = f64::from(fleet.total()) * f64::from(kinds.units) * load;
        let mut now = 0.0;
        for _ in 0..jobs {
            let hour = (now / 3600.0) as u64 % 24;
            let weights = &self.weights[usize::from(!(8..20).contains(&hour))];
            now += random.exponential(units(weights) * mean / room);
            let kind = weights[random.weighted(&weights.iter().map(|w| w.1).collect::<Vec<_>>())].0;
            let Some(class) = demand.class(Class { need: kind, count: 1, nodes: 1 }) else { continue };
            let run = random.log_normal(self.median, self.sigma).clamp(1.0, f64::from(self.longest)) as u32;
            let limit = (f64::from(run) * (1.0 + 3.0 * random.uniform())) as u32;
            demand.jobs.push(Request { submit: now as u32, run, limit, priority: 0, class });
        }
        demand
    }
}
