//! Inputs that are nearly right: seeds after a few changes.

/// One of `seeds` after a few changes, of which some insert `words`.
pub(crate) fn mutated(random: &mut Random, seeds: &[&[u8]], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].to_vec();
    for _ in 0..random.below(6) {
        let at = random.below(bytes.len() + 1);
        let to = at + random.below((bytes.len() - at).min(40) + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..to)),
            2 => bytes.truncate(at),
            3 => {
                let copy = bytes[at..to].to_vec();
                let place = random.below(bytes.len() + 1);
                bytes.splice(place..place, copy);
            }
            4 => {
                let word = words[random.below(words.len())].iter().copied();
                drop(bytes.splice(at..to, word));
            }
            _ => {
                let word = words[random.below(words.len())].iter().copied();
                drop(bytes.splice(at..at, word));
            }
        }
    }
    bytes
}

/// xorshift64: good enough to choose mutations, and the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}
