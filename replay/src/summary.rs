//! Waiting times, in figures.

/// Waiting times of many jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Seconds, in no order.
    seconds: Vec<u32>,
    total: u64,
}

impl Waits {
    /// Adds a job that waited so many seconds.
    pub fn add(&mut self, seconds: u32) {
        self.seconds.push(seconds);
        self.total += u64::from(seconds);
    }

    /// Jobs.
    pub fn count(&self) -> usize {
        self.seconds.len()
    }

    /// All waiting times together, in seconds.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Mean, in seconds; 0 without jobs.
    pub fn mean(&self) -> f64 {
        self.total as f64 / self.seconds.len().max(1) as f64
    }

    /// The waiting time, in seconds, that `part` of the jobs do not exceed; 0 without jobs.
    pub fn quantile(&mut self, part: f64) -> u32 {
        let last = self.seconds.len().saturating_sub(1);
        let at = ((part * self.seconds.len() as f64).ceil() as usize).saturating_sub(1).min(last);
        if self.seconds.is_empty() { 0 } else { *self.seconds.select_nth_unstable(at).1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_jobs() {
        let mut waits = Waits::default();
        assert_eq!((waits.mean(), waits.quantile(0.5)), (0.0, 0));
        for seconds in [30, 0, 10, 20] {
            waits.add(seconds);
        }
        assert_eq!((waits.count(), waits.total(), waits.mean()), (4, 60, 15.0));
        assert_eq!([0.0, 0.5, 0.75, 0.95, 1.0].map(|part| waits.quantile(part)), [0, 10, 20, 30, 30]);
    }
}
