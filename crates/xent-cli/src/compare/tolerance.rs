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

/// What the tolerances are about, over everything that was compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) missed: Misses,
    /// The largest distances of elements.
    pub(super) ulp: Option<f64>,
    pub(super) abs: Option<f64>,
    pub(super) rel: Option<f64>,
    pub(super) lsb: Option<f64>,
    pub(super) loss_difference: Option<f64>,
    /// Rows with a different prediction, and all.
    pub(super) changed: usize,
    pub(super) rows: usize,
}

/// A tolerance that was given.
#[derive(Clone, Debug)]
pub(super) struct Check {
    /// Its option, or options.
    pub(super) option: &'static str,
    pub(super) allowed: String,
    /// Numbers with their units.
    pub(super) found: Vec<(f64, String)>,
    pub(super) holds: bool,
}

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

    /// Holds what was found to each tolerance that was given.
    pub(super) fn checks(self, found: &Found) -> Vec<Check> {
        let Found { missed, ulp, abs, rel, lsb, loss_difference, changed, rows } = *found;
        let mut checks = Vec::new();
        let mut check = |option, allowed: Option<String>, found: Vec<(f64, String)>, holds| {
            checks.extend(allowed.map(|allowed| Check { option, allowed, found, holds }));
        };
        let one = |number: Option<f64>, unit: &str| {
            number.map(|number| (number, unit.to_owned())).into_iter().collect::<Vec<_>>()
        };
        check("--max-ulp", self.ulp.map(|most| format!("{most} ULP")), one(ulp, "ULP"), !missed[0]);
        let distance = match (self.abs, self.rel) {
            (Some(abs), Some(rel)) => {
                let allowed = format!("{abs} + {rel} × |reference|");
                ("--max-abs and --max-rel", Some(allowed))
            }
            (None, Some(rel)) => ("--max-rel", Some(format!("{rel} × |reference|"))),
            (abs, None) => ("--max-abs", abs.map(|abs| abs.to_string())),
        };
        let mut distances = Vec::new();
        if self.abs.is_some() {
            distances.extend(one(abs, "absolute"));
        }
        if self.rel.is_some() {
            distances.extend(one(rel, "relative"));
        }
        check(distance.0, distance.1, distances, !missed[1]);
        check("--max-lsb", self.lsb.map(|most| format!("{most} LSB")), one(lsb, "LSB"), !missed[2]);
        check(
            "--max-loss-difference",
            self.loss_difference.map(|most| most.to_string()),
            one(loss_difference, ""),
            !self.loss_difference.zip(loss_difference).is_some_and(|(most, by)| by > most),
        );
        check(
            "--max-changed",
            self.changed.map(Changed::shown),
            vec![(changed as f64, format!("of {rows} rows"))],
            self.changed.is_none_or(|most| most.holds(changed, rows)),
        );
        checks
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

    fn shown(self) -> String {
        match self {
            Self::Rows(1) => "1 row".to_owned(),
            Self::Rows(most) => format!("{most} rows"),
            Self::Share(most) => format!("a share of {most} of the rows"),
            Self::Percent(most) => format!("{most} % of the rows"),
        }
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
