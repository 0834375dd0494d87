//! Figures of a sample.

/// Rows of numbers.
pub(super) type Samples = Vec<Vec<f64>>;

/// What is said about a sample; all in its own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    pub(super) count: usize,
    pub(super) median: f64,
    /// First and third.
    pub(super) quartiles: (f64, f64),
    /// What a quiet moment gives: the tenth percentile.
    pub(super) p10: f64,
    pub(super) p99: f64,
    pub(super) mean: f64,
    /// Standard error of the mean.
    pub(super) sem: f64,
    /// Ends of an interval that holds the median of the population with 95 %, whatever its distribution.
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Figures {
    /// `None` of an empty sample.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let size = count as f64;
        let at = |rank: f64| sorted[(rank.max(0.0) as usize).min(count - 1)];
        let mean = sorted.iter().sum::<f64>() / size;
        let squares: f64 = sorted.iter().map(|value| (value - mean).powi(2)).sum();
        // How many of the sample lie below the median is binomial: n/2 with a deviation of sqrt(n)/2.
        let reach = 0.98 * size.sqrt();
        Some(Self {
            count,
            median: (at((size - 1.0) / 2.0) + at(size / 2.0)) / 2.0,
            quartiles: (at(size / 4.0), at(size * 3.0 / 4.0)),
            p10: at(size * 0.10),
            p99: at(size * 0.99),
            mean,
            sem: if count > 1 { (squares / (size - 1.0) / size).sqrt() } else { 0.0 },
            low: at(size / 2.0 - reach),
            high: at(size / 2.0 + reach),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_sample_worked_out_by_hand() {
        let figures = Figures::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((figures.count, figures.median, figures.mean), (4, 2.5, 2.5));
        assert_eq!(figures.quartiles, (2.0, 4.0));
        assert!((figures.sem - (5.0f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
        assert_eq!(Figures::of(&[7.0, 1.0, 2.0]).unwrap().median, 2.0);
        assert_eq!(Figures::of(&[]), None);
    }

    #[test]
    fn the_interval_is_of_ranks() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let figures = Figures::of(&values).unwrap();
        // 100 values: ranks 40 and 59, by the usual table.
        assert!((39.0..=41.0).contains(&figures.low) && (58.0..=60.0).contains(&figures.high), "{figures:?}");
    }
}
