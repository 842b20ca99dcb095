//! The digits, from the files beside this example.

use std::io;

use npyz::NpyFile;
use rand::Rng;
use rand::seq::SliceRandom;

pub(crate) const PIXELS: usize = 64;
pub(crate) const CLASSES: usize = 10;

/// Images (row after row, scaled to 0..1) and what they show.
pub(crate) struct Digits {
    pub(crate) images: Vec<f32>,
    pub(crate) labels: Vec<u8>,
}

fn read(file: &[u8]) -> io::Result<Vec<u8>> {
    NpyFile::new(file)?.into_vec()
}

impl Digits {
    pub(crate) fn load() -> io::Result<Self> {
        let images = read(include_bytes!("../data/digits-images.npy"))?;
        let labels = read(include_bytes!("../data/digits-labels.npy"))?;
        Ok(Self { images: images.iter().map(|&pixel| f32::from(pixel) / 16.0).collect(), labels })
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The digits of these rows, in this order.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let image = |&row: &usize| &self.images[row * PIXELS..(row + 1) * PIXELS];
        Self {
            images: rows.iter().flat_map(image).copied().collect(),
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
        }
    }

    pub(crate) fn shuffled(&self, rng: &mut impl Rng) -> Self {
        let mut rows: Vec<usize> = (0..self.len()).collect();
        rows.shuffle(rng);
        self.select(&rows)
    }

    /// The first `count` digits and the others.
    pub(crate) fn split(mut self, count: usize) -> (Self, Self) {
        let images = self.images.split_off(count * PIXELS);
        let labels = self.labels.split_off(count);
        (self, Self { images, labels })
    }
}

/// The share of labels that were predicted.
pub(crate) fn accuracy(labels: &[u8], predicted: &[u8]) -> f64 {
    let right = labels.iter().zip(predicted).filter(|(a, b)| a == b).count();
    right as f64 / labels.len() as f64
}
