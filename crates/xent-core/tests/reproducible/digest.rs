//! Digests of results, and the recorded ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;
use xent_core::Element;

/// A hash of numbers, including sign and payload except for NaN.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Digest(SipHasher13);

impl Digest {
    pub(crate) fn add(&mut self, number: f64) {
        self.add_bits(if number.is_nan() { u64::MAX } else { number.to_bits() });
    }

    pub(crate) fn add_bits(&mut self, bits: u64) {
        self.0.write(&bits.to_le_bytes());
    }

    pub(crate) fn add_all<E: Element>(&mut self, numbers: &[E]) {
        numbers.iter().for_each(|x| self.add(x.to_float().into()));
    }

    pub(crate) fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// With fused multiply-add, and without.
pub(crate) type Pair = [Option<u64>; 2];

/// The digests of every case, by its name.
#[derive(Default)]
pub(crate) struct Record(BTreeMap<String, Pair>);

impl Record {
    /// Lines of the form `name with without`, where `-` is an unknown digest.
    pub(crate) fn parse(text: &str) -> Self {
        let digest = |word: &str| u64::from_str_radix(word, 16).ok();
        let line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name @ .., with, without] = &words[..] else { panic!("a line of {line:?}") };
            (name.join(" "), [digest(with), digest(without)])
        };
        Self(text.lines().map(line).collect())
    }

    /// Adds the digest of a case; if one is already known, it must be the same.
    pub(crate) fn add(&mut self, name: &str, has_fma: bool, digest: u64) -> Result<(), u64> {
        let pair = self.0.entry(name.to_owned()).or_default();
        match pair[usize::from(!has_fma)].replace(digest) {
            Some(known) if known != digest => Err(known),
            _ => Ok(()),
        }
    }

    /// Adds unknown digests from another record, for the cases that are here.
    pub(crate) fn fill_from(&mut self, other: &Self) {
        for (name, pair) in &mut self.0 {
            let known = other.0.get(name).copied().unwrap_or_default();
            *pair = [pair[0].or(known[0]), pair[1].or(known[1])];
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, pair) in &self.0 {
            let [with, without] =
                pair.map(|digest| digest.map_or("-".into(), |digest| format!("{digest:016x}")));
            writeln!(text, "{name} {with} {without}").expect("a string takes all");
        }
        text
    }
}

#[test]
fn a_digest_tells_numbers_apart_but_not_nans() {
    let of = |numbers: &[f64]| {
        let mut digest = Digest::default();
        digest.add_all(numbers);
        digest.finish()
    };
    assert_ne!(of(&[0.0]), of(&[-0.0]));
    assert_ne!(of(&[1.0, 2.0]), of(&[2.0, 1.0]));
    assert_eq!(of(&[f64::NAN]), of(&[-f64::NAN]));
    // The hash SipHash-1-3 of eight zero bytes, the same on every machine.
    assert_eq!(of(&[0.0]), SipHasher13::new().hash(&[0; 8]));
}

#[test]
fn a_record_reads_what_it_writes() {
    let text = "f32 a b 00000000000000ff -\nf64 a - 0000000000000001\n";
    let mut record = Record::parse(text);
    assert_eq!(record.to_text(), text);
    assert_eq!(record.add("f32 a b", true, 255), Ok(()));
    assert_eq!(record.add("f32 a b", true, 254), Err(255));
    assert_eq!(record.add("f64 a", true, 7), Ok(()));
    let mut newer = Record::parse("f64 a 0000000000000009 -");
    newer.fill_from(&record);
    assert_eq!(newer.to_text(), "f64 a 0000000000000009 0000000000000001\n");
}
