//! Inputs that are the same on every machine: from integers, and floats by exact operations only.

use xent_core::{Element, Shape};

/// `SplitMix64` (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A multiple of 2^-20 in [0, 1).
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 44) as f64 / f64::from(1 << 20)
    }

    /// A sum of four shares, with a mean of zero and a deviation of about five.
    fn logit(&mut self) -> f64 {
        let sum: f64 = (0..4).map(|_| self.share()).sum();
        (sum - 2.0) * 8.0
    }
}

/// The layout of a batch in memory.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Layout {
    /// Row after row.
    Rows(usize, usize),
    /// The classes, each with this many rows side by side.
    Columns(usize, usize, usize),
}

impl Layout {
    pub(crate) fn rows(self) -> usize {
        match self {
            Self::Rows(rows, _) => rows,
            Self::Columns(outer, _, inner) => outer * inner,
        }
    }

    pub(crate) fn classes(self) -> usize {
        match self {
            Self::Rows(_, classes) | Self::Columns(_, classes, _) => classes,
        }
    }

    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::Rows(rows, classes) => Shape::rows(rows, classes),
            Self::Columns(outer, classes, inner) => Shape::columns(outer, classes, inner),
        }
        .expect("not too large")
    }

    /// Its part of a digest's name.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Rows(rows, classes) => format!("{rows}x{classes}"),
            Self::Columns(outer, classes, inner) => format!("{outer}x[{classes}]x{inner}"),
        }
    }
}

/// A batch with everything that a loss may use.
pub(crate) struct Corpus<E: Element> {
    pub(crate) layout: Layout,
    pub(crate) logits: Vec<E>,
    pub(crate) labels: Vec<u32>,
    /// Weights of every class of every row, in the order of the classes of a row, whatever the
    /// layout (which does not matter for a digest).
    pub(crate) dense: Vec<E::Float>,
    /// Labels of every class of every row, most of them zero.
    pub(crate) sparse: Vec<E::Float>,
    /// Zero or one for every class of every row; now and then two, which is ignored.
    pub(crate) hot: Vec<u8>,
    /// Numbers in [0, 1], in the order of the logits.
    pub(crate) probabilities: Vec<E>,
    /// One for each row.
    pub(crate) row_weights: Vec<E::Float>,
    /// One for each class.
    pub(crate) class_weights: Vec<E::Float>,
}

impl<E: Element> Corpus<E> {
    pub(crate) fn new(layout: Layout) -> Self {
        let (rows, classes) = (layout.rows(), layout.classes());
        let elements = rows * classes;
        let mut numbers = Numbers::new((rows as u64) << 32 | classes as u64);
        // All of them are exact in f32; 16-bit ones are rounded.
        let float = |x: f64| E::Float::from(x as f32);
        let stored = |x: f64| E::from_float(float(x));
        let mut logits: Vec<E> = (0..elements).map(|_| stored(numbers.logit())).collect();
        // Five of eight rows are ordinary, except that some of their classes are masked.
        let shape = layout.shape();
        for row in 0..rows {
            let class = numbers.below(classes);
            let mut put = |class, x| logits[shape.logit_place(row, class)] = stored(x);
            match row % 8 {
                1 => put(class, f64::NAN),
                3 => put(class, f64::INFINITY),
                5 => (0..classes).for_each(|class| put(class, f64::NEG_INFINITY)),
                2 => put(class, -65504.0),
                4 if classes > 2 => put(class, f64::NEG_INFINITY),
                _ => put(class, 1e-7),
            }
        }
        let mut each = |count: usize, of: fn(&mut Numbers) -> f64| -> Vec<E::Float> {
            (0..count).map(|_| float(of(&mut numbers))).collect()
        };
        let dense = each(elements, Numbers::share);
        let sparse = each(elements, |numbers| match numbers.below(5) {
            0 => 2.0 * numbers.share(),
            _ => 0.0,
        });
        let row_weights = each(rows, |numbers| 0.5 + numbers.share());
        let class_weights = each(classes, |numbers| 0.25 + numbers.share());
        Self {
            layout,
            logits,
            labels: (0..rows).map(|_| numbers.below(classes) as u32).collect(),
            dense,
            sparse,
            hot: (0..elements).map(|_| [0, 0, 0, 1, 1, 2][numbers.below(6)]).collect(),
            probabilities: (0..elements).map(|_| stored(numbers.share())).collect(),
            row_weights,
            class_weights,
        }
    }
}
