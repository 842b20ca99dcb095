//! A number that stands for many.

/// A digest of floats by their bits, in their order: FNV-1a (G. Fowler, L. C. Noll and K.-P. Vo), of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Takes in what is known of a digit: its loss, then its gradient.
    pub fn add(&mut self, loss: f32, gradient: &[f32]) {
        self.add_one(loss);
        gradient.iter().for_each(|&g| self.add_one(g));
    }

    /// Every NaN is the same.
    fn add_one(&mut self, number: f32) {
        let bits = if number.is_nan() { f32::NAN.to_bits() } else { number.to_bits() };
        for byte in bits.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The digest of all that was taken in.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}
