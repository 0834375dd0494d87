//! Maps keyed by packed counts.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map from packed counts.
pub(crate) type CountsMap<T> = HashMap<u128, T, BuildHasherDefault<CountsHasher>>;

/// A set of packed counts.
pub(crate) type CountsSet = HashSet<u128, BuildHasherDefault<CountsHasher>>;

/// Packed counts need no defence against chosen keys, and the default hasher costs more than the fold.
#[derive(Default)]
pub(crate) struct CountsHasher(u64);

impl Hasher for CountsHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u128(u128::from(byte));
        }
    }

    /// A folded multiplication, as in wyhash: counts lie in the high bits, a plain multiplication would leave
    /// them there, and tables are indexed by the low ones. The constants are odd and have no pattern.
    fn write_u128(&mut self, value: u128) {
        let low = value as u64 ^ self.0 ^ 0x9E37_79B9_7F4A_7C15;
        let high = (value >> 64) as u64 ^ 0xD1B5_4A32_D192_ED03;
        let product = u128::from(low) * u128::from(high);
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
}
