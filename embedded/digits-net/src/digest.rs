//! One number that represents many.

/// A digest of floats by their bits, in order: 64-bit FNV-1a (G. Fowler, L. C. Noll and K.-P. Vo).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Adds the results of a digit: its loss, then its gradient.
    pub fn add(&mut self, loss: f32, gradient: &[f32]) {
        self.add_one(loss);
        gradient.iter().for_each(|&g| self.add_one(g));
    }

    /// All NaNs count as the same.
    fn add_one(&mut self, number: f32) {
        let bits = if number.is_nan() { f32::NAN.to_bits() } else { number.to_bits() };
        for byte in bits.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The digest of everything that was added.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}
