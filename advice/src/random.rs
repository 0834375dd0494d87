//! Numbers that depend on a seed alone.

/// A generator of random numbers (SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// 2014), the same on every machine and in every release.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0 to 1, 1 excluded.
    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in 0 to `end`, `end` excluded; 0 for an `end` of 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((self.uniform() * end as f64) as usize).min(end.saturating_sub(1))
    }

    /// Exponential with a mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.uniform()).ln()
    }

    /// Log-normal with a median and the standard deviation of its logarithm (Box and Muller, 1958).
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let (a, b) = (1.0 - self.uniform(), self.uniform());
        let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        median * (sigma * normal).exp()
    }

    /// A position, with these weights.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut rest = self.uniform() * weights.iter().sum::<f64>();
        for (position, weight) in weights.iter().enumerate() {
            rest -= weight;
            if rest < 0.0 {
                return position;
            }
        }
        weights.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_distribution_they_are_named_after() {
        let mut random = Random::new(1);
        let mut mean = |mut draw: Box<dyn FnMut(&mut Random) -> f64>| {
            (0..20_000).map(|_| draw(&mut random)).sum::<f64>() / 20_000.0
        };
        let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 0.05, "{a} {b}");
        near(mean(Box::new(|r| r.uniform())), 0.5);
        near(mean(Box::new(|r| r.below(11) as f64)), 5.0);
        near(mean(Box::new(|r| r.exponential(7.0))), 7.0);
        // The mean of a log-normal is the median times e to half the variance.
        near(mean(Box::new(|r| r.log_normal(10.0, 0.5))), 10.0 * 0.125f64.exp());
        near(mean(Box::new(|r| r.weighted(&[1.0, 0.0, 3.0]) as f64)), 1.5);
    }
}
