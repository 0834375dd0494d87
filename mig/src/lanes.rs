//! Vectors of small counts packed into one integer, so that adding two vectors is one addition.
//!
//! Component 0 is the most significant, hence comparing two packed vectors compares them
//! lexicographically. Every lane has a guard bit above its value; it makes the componentwise
//! comparison [`Lanes::within`] one subtraction.

/// Where each component of a packed vector lies.
pub(crate) struct Lanes {
    shifts: Vec<u32>,
    guards: u128,
    lowest: u128,
}

impl Lanes {
    /// Lanes for components that never exceed `limits`; as many leading ones as 128 bits hold.
    pub(crate) fn new(limits: impl IntoIterator<Item = u32>) -> Self {
        let mut lanes = Lanes { shifts: Vec::new(), guards: 0, lowest: 0 };
        let mut free = u128::BITS;
        for limit in limits {
            let value = u32::BITS - limit.leading_zeros();
            let Some(shift) = free.checked_sub(value + 1) else { break };
            lanes.shifts.push(shift);
            lanes.guards |= 1 << (shift + value);
            lanes.lowest |= 1 << shift;
            free = shift;
        }
        lanes
    }

    /// How many components there are.
    pub(crate) fn len(&self) -> usize {
        self.shifts.len()
    }

    /// `count` in one component and zero elsewhere.
    pub(crate) fn at(&self, lane: usize, count: u32) -> u128 {
        u128::from(count) << self.shifts[lane]
    }

    /// Packs the leading components; those beyond [`Lanes::len`] are left out.
    pub(crate) fn pack(&self, counts: impl IntoIterator<Item = u32>) -> u128 {
        self.shifts.iter().zip(counts).map(|(&shift, count)| u128::from(count) << shift).sum()
    }

    /// Whether every component of `small` is at most that of `large`.
    pub(crate) fn within(&self, small: u128, large: u128) -> bool {
        ((large | self.guards) - small) & self.guards == self.guards
    }

    /// The smaller of each component. Those of `sum` may exceed the limits the lanes were made for, up to
    /// twice.
    pub(crate) fn least(&self, mut sum: u128, limit: u128) -> u128 {
        let mut above = !((limit | self.guards) - sum) & self.guards;
        while above != 0 {
            // From the guard bit down to the lowest bit of its lane.
            let guard = above & above.wrapping_neg();
            let below = self.lowest & (guard | (guard - 1));
            let lane = (guard << 1).wrapping_sub(1 << (u128::BITS - 1 - below.leading_zeros()));
            sum = sum & !lane | limit & lane;
            above ^= guard;
        }
        sum
    }

    /// One component, which is no sum beyond its limit.
    pub(crate) fn get(&self, packed: u128, lane: usize) -> u32 {
        let above = if lane == 0 { u128::BITS } else { self.shifts[lane - 1] };
        let value = (packed & !self.guards) >> self.shifts[lane];
        let width = above - self.shifts[lane];
        u32::try_from(value & (u128::MAX >> (u128::BITS - width))).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_vectors_behave_as_vectors(
            rows in proptest::collection::vec((1u32..200, 0u32..100, 0u32..100), 1..12),
        ) {
            let lanes = Lanes::new(rows.iter().map(|r| 200 + r.0));
            prop_assert_eq!(lanes.len(), rows.len());
            let (a, b): (Vec<u32>, Vec<u32>) = rows.iter().map(|r| (r.1, r.2)).unzip();
            let (x, y) = (lanes.pack(a.iter().copied()), lanes.pack(b.iter().copied()));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(lanes.within(x, y), a.iter().zip(&b).all(|(a, b)| a <= b));
            for lane in 0..rows.len() {
                prop_assert_eq!(lanes.get(x + y, lane), a[lane] + b[lane]);
                prop_assert_eq!(lanes.get(lanes.least(x, y), lane), a[lane].min(b[lane]));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_at_the_end() {
        let lanes = Lanes::new([u32::MAX; 5]);
        assert_eq!(lanes.len(), 3);
        assert_eq!(lanes.pack([1, 2, 3, 4, 5]), lanes.pack([1, 2, 3]));
    }
}
