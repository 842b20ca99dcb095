//! The constants of the elementary functions, for each format of a computation.
//!
//! The polynomials are minimax fits (E. Y. Remez, 1934) whose coefficients were rounded one by one
//! to the format; `tools/minimax.py` derives them and prints their errors.

/// Constants of the elementary functions. Polynomials start with the lowest order.
pub(crate) trait Tables: Sized + 'static {
    /// `(e^t - 1) / t` on `|t| <= ln 2 / 2`.
    const EXP: &'static [Self];
    /// `(log1p(u) - u + u^2 / 2) / u^3` on [0, 1].
    const LOG1P: &'static [Self];
    /// `(ln(1 + f) - f + f^2 / 2) / f^3` on [√½ - 1, √2 - 1].
    const LN: &'static [Self];
    /// `(tanh x - x) / x^3` in `x^2` on [0, 0.390625].
    const TANH: &'static [Self];

    /// `log2 e`.
    const LOG2_E: Self;
    /// `ln 2` in two parts; products of the first part with the format's exponents are exact.
    const LN_2: [Self; 2];

    /// 1.5 times two to the number of fraction bits: a float whose last place is one, with room for
    /// negative numbers.
    const ROUNDER: f64;
    /// The exponent's bias.
    const BIAS: f64;
    /// Exponentials are scaled by two to this power, out of the subnormal range, so their exponents
    /// reach below that of the smallest float.
    const SCALE_EXPONENT: f64;
    /// `2^SCALE_EXPONENT`.
    const SCALE: f64;
    /// `2^-SCALE_EXPONENT`.
    const UNSCALE: f64 = 1.0 / Self::SCALE;
    /// Below this, the scaled exponent field is zero, and so is the result. It rounds to
    /// `n = -BIAS - SCALE_EXPONENT`.
    const LOWEST: f64;

    /// The smallest normal number.
    const LEAST_NORMAL: f64;
    /// The exponent that makes a subnormal number normal, and two to its power.
    const SUBNORMAL: [f64; 2];
    /// From this number on, adding one has no effect.
    const HALF_EPSILON: f64;
}

impl Tables for f32 {
    // Relative error of `e^t` 2^-28.2.
    const EXP: &'static [Self] =
        &[1.0, 0.499_999_94, 0.166_665_21, 0.041_668_26, 0.008_368_669, 0.001_382_128_9];
    // Relative error of `log1p` 2^-26.9.
    const LOG1P: &'static [Self] = &[
        0.333_322_5,
        -0.249_750_78,
        0.197_741_76,
        -0.155_69,
        0.110_240_45,
        -0.060_909_12,
        0.021_868_002,
        -0.003_675_639_2,
    ];
    // Relative error of `ln` 2^-27.3.
    const LN: &'static [Self] = &[
        0.333_333_3,
        -0.250_008_2,
        0.200_012_42,
        -0.166_234_1,
        0.142_015_86,
        -0.131_596,
        0.127_621_44,
        -0.076_363_56,
    ];
    // Relative error of `tanh` 2^-27.7.
    const TANH: &'static [Self] =
        &[-0.333_332_8, 0.133_314_06, -0.053_736_515, 0.020_628_167, -0.005_692_296];

    const LOG2_E: Self = core::f32::consts::LOG2_E;
    // Exact up to 2^8.
    const LN_2: [Self; 2] = [0.693_145_75, 1.428_606_8e-6];

    const ROUNDER: f64 = 12_582_912.0;
    const BIAS: f64 = 127.0;
    // Down to 2^-158, although f32 ends at 2^-149.
    const SCALE_EXPONENT: f64 = 32.0;
    const SCALE: f64 = 4_294_967_296.0;
    const LOWEST: f64 = -110.25;

    const LEAST_NORMAL: f64 = Self::MIN_POSITIVE as f64;
    const SUBNORMAL: [f64; 2] = [23.0, 8_388_608.0];
    const HALF_EPSILON: f64 = 0.5 * Self::EPSILON as f64;
}

#[allow(clippy::use_self, reason = "some of its constants are f64 whatever the format")]
impl Tables for f64 {
    // Relative error of `e^t` 2^-57.9.
    const EXP: &'static [Self] = &[
        1.0,
        0.500_000_000_000_001_1,
        0.166_666_666_666_664_63,
        0.041_666_666_666_528_66,
        0.008_333_333_333_471_483,
        0.001_388_888_894_375_773_8,
        0.000_198_412_695_441_846_74,
        2.480_149_309_849_135e-5,
        2.755_755_986_851_567e-6,
        2.763_022_406_727_314e-7,
        2.500_689_080_718_191_5e-8,
    ];
    // Relative error of `log1p` 2^-58.9.
    const LOG1P: &'static [Self] = &[
        0.333_333_333_333_271_53,
        -0.249_999_999_993_146_37,
        0.199_999_999_693_101_12,
        -0.166_666_659_026_585_17,
        0.142_857_021_342_978_8,
        -0.124_998_663_387_604_86,
        0.111_100_408_531_196_99,
        -0.099_935_352_486_835_15,
        0.090_606_752_415_824_78,
        -0.082_216_751_543_487_4,
        0.073_615_268_045_828_71,
        -0.063_463_607_955_220_28,
        0.050_883_470_574_068_744,
        -0.036_415_504_705_364_44,
        0.022_263_927_473_255_81,
        -0.011_100_660_681_892_013,
        0.004_277_681_178_196_315,
        -0.001_184_496_773_214_767,
        0.000_208_454_401_104_512_24,
        -1.743_987_553_155_185e-5,
    ];
    // Relative error of `ln` 2^-56.6.
    const LN: &'static [Self] = &[
        0.333_333_333_333_331_4,
        -0.249_999_999_999_879_9,
        0.200_000_000_000_667_84,
        -0.166_666_666_698_235_85,
        0.142_857_142_800_790_57,
        -0.124_999_996_915_870_85,
        0.111_111_111_481_504_85,
        -0.100_000_152_016_978_58,
        0.090_909_239_110_599_06,
        -0.083_329_136_173_409_76,
        0.076_915_302_110_960_38,
        -0.071_494_389_059_289_3,
        0.066_845_847_500_518_02,
        -0.061_966_787_903_920_69,
        0.056_684_033_285_772_525,
        -0.056_778_089_122_858_24,
        0.065_034_364_997_654_41,
        -0.059_815_916_174_305_78,
        0.026_150_392_455_659_227,
    ];
    // Relative error of `tanh` 2^-61.2.
    const TANH: &'static [Self] = &[
        -0.333_333_333_333_333_15,
        0.133_333_333_333_299_6,
        -0.053_968_253_966_149_44,
        0.021_869_488_470_698_69,
        -0.008_863_234_338_741_91,
        0.003_592_114_222_285_093_5,
        -0.001_455_727_208_686_395_6,
        0.000_589_456_613_722_764_5,
        -0.000_237_023_974_359_478_46,
        9.157_828_675_229_481e-5,
        -3.020_585_240_733_185_3e-5,
        6.050_143_894_571_486_4e-6,
    ];

    const LOG2_E: Self = core::f64::consts::LOG2_E;
    // Exact up to 2^11.
    const LN_2: [Self; 2] = [0.693_147_180_559_890_3, 5.497_923_018_708_371e-14];

    const ROUNDER: f64 = 6_755_399_441_055_744.0;
    const BIAS: f64 = 1023.0;
    // Down to 2^-1086, although f64 ends at 2^-1074.
    const SCALE_EXPONENT: f64 = 64.0;
    const SCALE: f64 = 18_446_744_073_709_551_616.0;
    const LOWEST: f64 = -753.5;

    const LEAST_NORMAL: f64 = f64::MIN_POSITIVE;
    const SUBNORMAL: [f64; 2] = [52.0, 4_503_599_627_370_496.0];
    const HALF_EPSILON: f64 = 0.5 * f64::EPSILON;
}
