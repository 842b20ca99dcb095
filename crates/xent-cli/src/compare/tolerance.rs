//! The differences that are allowed.

use crate::args::CompareArgs;
use crate::failure::Failure;

/// All tolerances that were given; every one of them must hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    ulp: Option<u64>,
    abs: Option<f64>,
    rel: Option<f64>,
    pub(super) lsb: Option<f64>,
    loss_difference: Option<f64>,
    changed: Option<Changed>,
}

/// How many rows may be predicted differently.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Changed {
    Rows(usize),
    /// Of the rows that are compared.
    Share(f64),
    Percent(f64),
}

/// How far a number is from its reference.
#[derive(Clone, Copy, Debug)]
pub(super) struct Distances {
    pub(super) ulp: f64,
    pub(super) abs: f64,
    /// None if the candidate has no scale.
    pub(super) lsb: Option<f64>,
}

/// Which tolerances of elements a number misses: in ULP, as a distance, in LSB.
pub(super) type Misses = [bool; 3];

impl Tolerance {
    pub(super) fn of(args: &CompareArgs) -> Result<Self, Failure> {
        for (option, most) in [
            ("--max-abs", args.max_abs),
            ("--max-rel", args.max_rel),
            ("--max-lsb", args.max_lsb),
            ("--max-loss-difference", args.max_loss_difference),
        ] {
            if most.is_some_and(|most| most.is_nan() || most < 0.0) {
                return Err(Failure::argument(format!(
                    "{option}: expected a number that is not negative"
                )));
            }
        }
        for (option, is_given) in [
            ("--max-loss-difference", args.max_loss_difference.is_some()),
            ("--top-k", args.top_k.is_some()),
        ] {
            if is_given && args.targets.is_none() {
                return Err(Failure::argument(format!("{option} needs --targets")));
            }
        }
        Ok(Self {
            ulp: args.max_ulp,
            abs: args.max_abs,
            rel: args.max_rel,
            lsb: args.max_lsb,
            loss_difference: args.max_loss_difference,
            changed: args.max_changed.as_deref().map(Changed::of).transpose()?,
        })
    }

    pub(super) fn is_given(self) -> bool {
        self.is_of_elements() || self.loss_difference.is_some() || self.changed.is_some()
    }

    /// Whether it is about single elements.
    pub(super) fn is_of_elements(self) -> bool {
        let is_float = self.abs.is_some() || self.rel.is_some();
        is_float || self.ulp.is_some() || self.lsb.is_some()
    }

    /// Whether ULP were asked for.
    pub(super) fn is_in_ulp(self) -> bool {
        self.ulp.is_some()
    }

    /// Examines an element.
    pub(super) fn misses(self, distances: Distances, reference: f64) -> Misses {
        let Distances { ulp, abs, lsb } = distances;
        // Everything except itself is infinitely far from an infinite reference, so a share of it
        // says nothing.
        let of_reference = |share: f64| {
            if reference.is_finite() { share * reference.abs() } else { 0.0 }
        };
        let distance = match (self.abs, self.rel) {
            (None, None) => None,
            (most, share) => Some(most.unwrap_or(0.0) + share.map_or(0.0, of_reference)),
        };
        [
            self.ulp.is_some_and(|most| ulp > most as f64),
            distance.is_some_and(|most| abs > most),
            self.lsb.zip(lsb).is_some_and(|(most, lsb)| lsb > most),
        ]
    }

    /// The options that do not hold: given whether elements missed them, the difference of the losses, and the
    /// rows that changed and were compared.
    pub(super) fn exceeded(
        self,
        missed: Misses,
        loss_difference: Option<f64>,
        changed: usize,
        rows: usize,
    ) -> Vec<&'static str> {
        let distance = match (self.abs, self.rel) {
            (Some(_), Some(_)) => "--max-abs and --max-rel",
            (None, Some(_)) => "--max-rel",
            _ => "--max-abs",
        };
        let of_elements = ["--max-ulp", distance, "--max-lsb"].into_iter().zip(missed);
        let loss = self.loss_difference.zip(loss_difference).is_some_and(|(most, by)| by > most);
        let changed = self.changed.is_some_and(|most| !most.holds(changed, rows));
        of_elements
            .chain([("--max-loss-difference", loss), ("--max-changed", changed)])
            .filter_map(|(option, is_exceeded)| is_exceeded.then_some(option))
            .collect()
    }
}

impl Changed {
    /// A whole number counts rows; with a percent sign, or as a number from 0 to 1 with a point or an exponent, it
    /// is a share.
    fn of(text: &str) -> Result<Self, Failure> {
        let is_whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let within = |most: f64| move |share: &f64| (0.0..=most).contains(share);
        let parsed = if is_whole {
            text.parse().ok().map(Self::Rows)
        } else if let Some(percent) = text.strip_suffix('%') {
            percent.parse().ok().filter(within(100.0)).map(Self::Percent)
        } else {
            text.parse().ok().filter(within(1.0)).map(Self::Share)
        };
        parsed.ok_or_else(|| {
            Failure::argument(format!(
                "--max-changed: expected a number of rows (3), a percentage (0.5%) or a share from 0 to 1 with a \
                 point (0.005), found {text:?}"
            ))
        })
    }

    fn holds(self, changed: usize, rows: usize) -> bool {
        let (changed_rows, all) = (changed as f64, rows.max(1) as f64);
        match self {
            Self::Rows(most) => changed <= most,
            // The quotient is rounded as the option was.
            Self::Share(most) => changed_rows / all <= most,
            Self::Percent(most) => 100.0 * changed_rows / all <= most,
        }
    }
}
