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

    /// Multiplication by 2^64 over the golden ratio spreads the low bits; the fold brings the high ones down.
    fn write_u128(&mut self, value: u128) {
        let mixed = (self.0 ^ (value as u64) ^ (value >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ mixed >> 32;
    }
}
