//! The text as tokens.

use std::collections::HashMap;

/// The tokens that a prediction is made from.
pub(crate) const CONTEXT: usize = 4;

/// Rows of tokens, and the token that follows each.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) contexts: Vec<[u32; CONTEXT]>,
    pub(crate) labels: Vec<u32>,
}

impl Batch {
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        Self {
            contexts: rows.iter().map(|&row| self.contexts[row]).collect(),
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
        }
    }

    /// Adds a line. Before its first token there are zeros, the token of the line's end.
    fn add(&mut self, tokens: &[u32]) {
        let mut context = [0; CONTEXT];
        for &token in tokens.iter().chain(&[0]) {
            self.contexts.push(context);
            self.labels.push(token);
            context.rotate_left(1);
            context[CONTEXT - 1] = token;
        }
    }
}

pub(crate) struct Text {
    pub(crate) training: Batch,
    pub(crate) held_out: Batch,
    pub(crate) held_out_bytes: usize,
    kinds: usize,
}

impl Text {
    /// The text in tokens of that many kinds: bytes, and pairs of tokens that occurred most often in the lines for
    /// training (P. Gage, "A new algorithm for data compression", 1994). Pairs may go across words.
    pub(crate) fn load(kinds: usize) -> Self {
        let text = include_str!("../data/english.txt");
        let mut lines: Vec<Vec<u32>> =
            text.lines().map(|line| line.bytes().map(u32::from).collect()).collect();
        let mut next = 256;
        while next < kinds {
            // Pairs without a token in common are joined in one pass over the text.
            let pairs = frequent_pairs(&lines, (kinds - next).min(64));
            if pairs.is_empty() {
                break;
            }
            let of_pair: HashMap<[u32; 2], u32> =
                pairs.iter().copied().zip(next as u32..).collect();
            lines.iter_mut().for_each(|line| join(line, &of_pair));
            next += pairs.len();
        }
        let (mut training, mut held_out, mut held_out_bytes) =
            (Batch::default(), Batch::default(), 0);
        for (number, (tokens, line)) in lines.iter().zip(text.lines()).enumerate() {
            if is_held_out(number) {
                held_out.add(tokens);
                held_out_bytes += line.len() + 1;
            } else {
                training.add(tokens);
            }
        }
        Self { training, held_out, held_out_bytes, kinds: next }
    }

    /// The number of kinds of tokens.
    pub(crate) fn kinds(&self) -> usize {
        self.kinds
    }
}

fn is_held_out(line: usize) -> bool {
    line % 10 == 9
}

/// The most frequent pairs of tokens that occur twice, each token in one of them.
fn frequent_pairs(lines: &[Vec<u32>], most: usize) -> Vec<[u32; 2]> {
    let mut counts: HashMap<[u32; 2], u32> = HashMap::new();
    for (_, line) in lines.iter().enumerate().filter(|(number, _)| !is_held_out(*number)) {
        for pair in line.windows(2) {
            *counts.entry([pair[0], pair[1]]).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
    counts.sort_unstable_by_key(|&(pair, count)| (u32::MAX - count, pair));
    let mut pairs: Vec<[u32; 2]> = Vec::new();
    for (pair, _) in counts {
        if pairs.len() == most {
            break;
        }
        if !pairs.iter().any(|other| other.iter().any(|token| pair.contains(token))) {
            pairs.push(pair);
        }
    }
    pairs
}

fn join(line: &mut Vec<u32>, of_pair: &HashMap<[u32; 2], u32>) {
    let (mut from, mut to) = (0, 0);
    while from < line.len() {
        let pair = line.get(from..from + 2).and_then(|pair| of_pair.get(&[pair[0], pair[1]]));
        line[to] = *pair.unwrap_or(&line[from]);
        from += if pair.is_some() { 2 } else { 1 };
        to += 1;
    }
    line.truncate(to);
}
