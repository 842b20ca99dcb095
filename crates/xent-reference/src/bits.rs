//! Powers of two: the exponent of a number, and scaling by a power.

/// ⌊log₂|x|⌋, for subnormal numbers too. Zero gives -1075, below every number; infinity and NaN
/// give 1024, above every number.
pub(crate) fn exponent(x: f64) -> i32 {
    const BIAS: i32 = f64::MAX_EXP - 1;
    let magnitude = x.to_bits() & !(1 << 63);
    match (magnitude >> 52) as i32 {
        0 => 63 - 1074 - magnitude.leading_zeros() as i32,
        biased => biased - BIAS,
    }
}

/// 2^exponent, for every power of two that is an `f64`: -1074 ≤ exponent ≤ 1023.
pub(crate) fn power_of_two(exponent: i32) -> f64 {
    debug_assert!((-1074..=1023).contains(&exponent), "2^{exponent}");
    let least_normal = f64::MIN_EXP - 1;
    f64::from_bits(if exponent < least_normal {
        1 << (exponent + 1074)
    } else {
        ((exponent - least_normal + 1) as u64) << 52
    })
}

/// x·2^by for |by| ≤ 2044. Rounded only if the result is too small or too large for x's digits, and
/// then once if x is in 1..2.
pub(crate) fn scaled(x: f64, by: i32) -> f64 {
    let half = by / 2;
    x * power_of_two(half) * power_of_two(by - half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_undoes_the_power_of_two() {
        for e in -1074..=1023 {
            let power = power_of_two(e);
            assert_eq!(exponent(power), e);
            assert_eq!(exponent(-power), e);
            assert_eq!(power, scaled(1.0, e));
            if e > -1074 {
                assert_eq!(power, 2.0 * power_of_two(e - 1));
                assert_eq!(exponent(power.next_down()), e - 1);
            }
        }
        assert_eq!(power_of_two(0), 1.0);
        assert_eq!(
            (exponent(0.0), exponent(f64::INFINITY), exponent(f64::NAN)),
            (-1075, 1024, 1024)
        );
    }

    #[test]
    fn scaling_reaches_across_the_whole_range() {
        assert_eq!(scaled(f64::MAX, -2044), f64::MAX / 2.0_f64.powi(1022) / 2.0_f64.powi(1022));
        assert_eq!(scaled(f64::from_bits(1), 1074), 1.0);
        assert_eq!(scaled(1.5, 1024), f64::INFINITY);
        assert_eq!(scaled(1.75, -1074), f64::from_bits(2));
    }
}
