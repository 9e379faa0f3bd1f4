//! Randomness from a seed (SplitMix64): the same seed makes the same choices.

/// A source of choices.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A source of its own for each part of a run, under a name (hashed by FNV-1a), so that neither the order
    /// in which the parts choose nor how often matters to the others.
    pub fn part(seed: u64, name: &str) -> Self {
        let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        Self(Self(seed ^ hash).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        let bound = u64::try_from(all.len()).unwrap();
        all[usize::try_from(self.below(bound)).unwrap()]
    }
}
