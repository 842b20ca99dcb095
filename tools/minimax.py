#!/usr/bin/env python3
"""Derive the minimax polynomials behind the exponential and logarithm kernels.

It needs only Python 3.9+ and mpmath::

    pip install mpmath
    python tools/minimax.py                     # every entry, about 10^6 points each
    python tools/minimax.py EXP_F32 LN_F32      # only the named entries
    python tools/minimax.py --points 20000      # faster, coarser simulation

For every entry of ``TABLE`` the script

1. finds the polynomial of the wanted form with the smallest maximal relative
   error, by Remez's exchange algorithm [1; 2, chapter 3] in multi-precision
   arithmetic;
2. rounds the coefficients to the target format one after the other, from the
   lowest order up.  After each rounding the remaining, still free coefficients
   are fitted again, so that they absorb the error just made (compare [2, chapter 4]);
3. evaluates the rounded polynomial with exact coefficients on a dense grid that
   is independent of the fitting grid, and reports the largest relative error;
4. simulates the evaluation in the target format, with fused and with separate
   multiply-add, and reports the largest error in units in the last place (ULP).

It also prints the two-part splits of ln 2 for the argument reduction of Cody and
Waite [3] and simulates the complete exponentials and the complete double-precision
logarithm and hyperbolic tangent.

"Relative error" always refers to the whole function, not to the fitted tail.
An ULP of a result is the spacing of the target format at the exact value, hence
a correctly rounded result is off by at most 0.5.

References
----------
[1] E. Ya. Remez, "Sur un procede convergent d'approximations successives pour
    determiner les polynomes d'approximation", C. R. Acad. Sci. Paris 198 (1934),
    2063-2065.
[2] J.-M. Muller, "Elementary Functions: Algorithms and Implementation", 3rd ed.,
    Birkhaeuser, 2016.
[3] W. J. Cody and W. Waite, "Software Manual for the Elementary Functions",
    Prentice-Hall, 1980.
[4] T. J. Dekker, "A Floating-Point Technique for Extending the Available Precision",
    Numerische Mathematik 18 (1971), 224-242.
"""

import argparse
import math
import random
import struct
from array import array
from dataclasses import dataclass
from typing import Callable, Optional, Sequence, Tuple

from mpmath import mp, mpf

mp.prec = 240  # bits carried by everything that is not explicitly rounded

F32, F64 = 24, 53  # formats are named by the width of their significand
LN2_HEAD_F64 = 42  # bits of the head of ln 2, which leave room for |n| <= 2^11
RUST_TYPE = {F32: "f32", F64: "f64"}

FIT_POINTS = 1200  # Chebyshev points on which the exchange works
CHECK_POINTS = 6000  # equidistant points of the final verification
F64_POINTS = 200_000  # cap on the simulated points of double-precision entries
CHUNK = 1 << 16  # simulated points per batch
REFERENCE_BITS = 120  # precision that judges double-precision results


# --------------------------------------------------------------------------
# The table of polynomials
# --------------------------------------------------------------------------


def relative(value):
    """Weight that turns the absolute into the relative error."""
    return 1 / value


def two_atanh_over_s(z):
    """2 atanh(s) / s as a function of z = s^2."""
    s = mp.sqrt(z)
    return 2 * mp.atanh(s) / s


@dataclass(frozen=True)
class Entry:
    """One polynomial: ``function(x) ~ fixed(x) + x^len(fixed) * p(x)``."""

    name: str
    bits: int  # target format
    function: Callable
    interval: Tuple
    fixed: Sequence  # prescribed low-order coefficients, lowest first
    degree: Optional[int] = None  # degree of p; None: smallest that meets `goal`
    goal: Optional[float] = None  # wanted bound on the relative error, log2
    weight: Callable = relative
    scheme: str = "horner"  # how the simulation evaluates it, see SCHEMES
    form: str = ""


HALF = mpf(1) / 2
EXP_RANGE = (-mp.log(2) / 2 * mpf("1.0002"), mp.log(2) / 2 * mpf("1.0002"))
LN_RANGE = (mp.sqrt(HALF) - 1, mp.sqrt(2) - 1)


def log1p_entry(degree, halved=False):
    suffix = "_HALVED" if halved else ""
    return Entry(
        name="LOG1P_F32%s_DEG%d" % (suffix, degree),
        bits=F32,
        function=mp.log1p,
        interval=(mpf(0), mpf(1)),
        fixed=(0, 1, -HALF) if halved else (0, 1),
        degree=degree,
        scheme="x_plus_x2",
        form="log1p(u) = u - u^2/2 + u^3 r(u)" if halved else "log1p(u) = u + u^2 q(u)",
    )


def tanh_over_x(z):
    """tanh(x) / x as a function of z = x^2."""
    if z == 0:
        return mpf(1)
    x = mp.sqrt(z)
    return mp.tanh(x) / x


TABLE = [
    Entry(
        name="EXP_F32",
        bits=F32,
        function=mp.exp,
        interval=EXP_RANGE,
        fixed=(1,),
        degree=5,
        form="e^t = 1 + t p(t)",
    ),
    log1p_entry(7),
    log1p_entry(8),
    log1p_entry(9),
    log1p_entry(6, halved=True),
    log1p_entry(7, halved=True),
    log1p_entry(8, halved=True),
    Entry(
        name="LN_F32",
        bits=F32,
        function=mp.log1p,
        interval=LN_RANGE,
        fixed=(0, 1, -HALF),
        goal=-27,
        scheme="x_plus_x2",
        form="ln(1+f) = f - f^2/2 + f^3 r(f)",
    ),
    Entry(
        name="TANH_F32",
        bits=F32,
        function=tanh_over_x,
        interval=(mpf(0), mpf("0.390625")),
        fixed=(1,),
        degree=4,
        form="tanh x = x + x^3 p(x^2), |x| <= 0.625",
    ),
    Entry(
        name="EXP_F64",
        bits=F64,
        function=mp.exp,
        interval=EXP_RANGE,
        fixed=(1, 1),
        goal=-56,
        form="e^t = 1 + t + t^2 p(t)",
    ),
    Entry(
        name="LOG1P_F64",
        bits=F64,
        function=two_atanh_over_s,
        interval=(mpf(0), mpf("0.0295")),
        fixed=(2,),
        goal=-57,
        scheme="atanh",
        form="ln(1+f) = f - (f^2/2 - s (f^2/2 + z p(z))), s = f/(2+f), z = s^2",
    ),
    Entry(
        name="LOG1P_VECTOR_F64",
        bits=F64,
        function=mp.log1p,
        interval=(mpf(0), mpf(1)),
        fixed=(0, 1, -HALF),
        goal=-56.5,
        scheme="x_plus_x2",
        form="log1p(u) = u - u^2/2 + u^3 r(u)",
    ),
    Entry(
        name="LN_F64",
        bits=F64,
        function=mp.log1p,
        interval=LN_RANGE,
        fixed=(0, 1, -HALF),
        goal=-56.5,
        scheme="x_plus_x2",
        form="ln(1+f) = f - f^2/2 + f^3 r(f)",
    ),
    Entry(
        name="TANH_F64",
        bits=F64,
        function=tanh_over_x,
        interval=(mpf(0), mpf("0.390625")),
        fixed=(1,),
        goal=-56.5,
        scheme="odd",
        form="tanh x = x + x^3 p(x^2), |x| <= 0.625",
    ),
]


# --------------------------------------------------------------------------
# Remez exchange
# --------------------------------------------------------------------------


def round_to(bits, value):
    """`value` rounded to nearest with a significand of `bits` bits."""
    with mp.workprec(bits):
        return +mpf(value)


def polynomial(coefficients, x):
    acc = mpf(0)
    for c in reversed(coefficients):
        acc = acc * x + c
    return acc


class Grid:
    """Chebyshev points with the function sampled on them; zero is left out,
    since every fixed form is exact there."""

    def __init__(self, entry):
        lo, hi = entry.interval
        mid, radius = (lo + hi) / 2, (hi - lo) / 2
        nodes = (mid - radius * mp.cos(mp.pi * k / FIT_POINTS) for k in range(FIT_POINTS + 1))
        self.x = [x for x in nodes if x != 0]
        self.f = [entry.function(x) for x in self.x]
        self.w = [entry.weight(f) for f in self.f]


def remez(grid, fixed, count):
    """Best `count` coefficients after `fixed`, and their largest weighted error.

    The functions w(x) x^(shift+k) form a Chebyshev system on either side of zero;
    taking the sign of x^shift out of the error extends the alternation theorem
    to intervals that contain zero.
    """
    shift = len(fixed)
    target = [w * (f - polynomial(fixed, x)) for x, f, w in zip(grid.x, grid.f, grid.w)]
    scale = [w * x**shift for x, w in zip(grid.x, grid.w)]
    sign = [-1 if s < 0 else 1 for s in scale]

    last = len(grid.x) - 1
    # The grid is spaced like the extrema, so equal steps are a good start.
    reference = [round(last * (k + 0.5) / (count + 1)) for k in range(count + 1)]
    for _ in range(100):
        rows, rhs = [], []
        for parity, i in enumerate(reference):
            row = [scale[i]]
            for _k in range(count - 1):
                row.append(row[-1] * grid.x[i])
            rows.append(row + [sign[i] * (-1) ** parity])
            rhs.append(target[i])
        solution = list(mp.lu_solve(mp.matrix(rows), mp.matrix(rhs)))
        coefficients, level = solution[:-1], abs(solution[-1])

        error = [
            g * (t - s * polynomial(coefficients, x))
            for x, t, s, g in zip(grid.x, target, scale, sign)
        ]
        largest = max(map(abs, error))
        if largest <= level * (1 + mpf(10) ** -12):
            return coefficients, largest
        reference = exchange(error, count + 1)
    raise ArithmeticError("the exchange did not converge")


def exchange(error, size):
    """Indices of `size` alternating extrema that include the largest one."""
    peaks = []
    for i, e in enumerate(error):
        if peaks and (error[peaks[-1]] < 0) == (e < 0):
            if abs(e) > abs(error[peaks[-1]]):
                peaks[-1] = i
        else:
            peaks.append(i)
    if len(peaks) < size:
        raise ArithmeticError("the error alternates too rarely")
    while len(peaks) > size:
        if len(peaks) == size + 1:
            # One too many: only an end can be removed without breaking the alternation.
            del peaks[0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1]
        else:
            # Remove the weakest neighbouring pair, or an end and then check again.
            weakest = min(range(len(peaks)), key=lambda k: abs(error[peaks[k]]))
            if weakest in (0, len(peaks) - 1):
                del peaks[weakest]
            else:
                left = abs(error[peaks[weakest - 1]]) < abs(error[peaks[weakest + 1]])
                start = weakest - 1 if left else weakest
                del peaks[start : start + 2]
    return peaks


def fit_rounded(grid, entry, count):
    """Minimax coefficients rounded one by one, lowest order first."""
    done = [mpf(c) for c in entry.fixed]
    for remaining in range(count, 0, -1):
        coefficients, _ = remez(grid, done, remaining)
        done.append(round_to(entry.bits, coefficients[0]))
    return done[len(entry.fixed) :]


def verified_error(entry, coefficients):
    """Largest relative error of the exact polynomial on an equidistant grid."""
    lo, hi = entry.interval
    whole = list(entry.fixed) + list(coefficients)
    worst = mpf(0)
    for k in range(CHECK_POINTS + 1):
        x = lo + (hi - lo) * k / CHECK_POINTS
        if x != 0:
            f = entry.function(x)
            worst = max(worst, abs(entry.weight(f) * (f - polynomial(whole, x))))
    return worst


def solve(entry):
    """(ideal error, rounded coefficients, their verified error)."""
    grid = Grid(entry)
    degrees = range(1, 30) if entry.degree is None else [entry.degree]
    for degree in degrees:
        _, ideal = remez(grid, [mpf(c) for c in entry.fixed], degree + 1)
        if entry.goal is not None and ideal >= mpf(2) ** entry.goal:
            continue
        coefficients = fit_rounded(grid, entry, degree + 1)
        achieved = verified_error(entry, coefficients)
        if entry.goal is None or achieved < mpf(2) ** entry.goal:
            return ideal, coefficients, achieved
    raise ArithmeticError("no degree meets the goal of " + entry.name)


# --------------------------------------------------------------------------
# Simulation in the target format
# --------------------------------------------------------------------------


class Single:
    """Vectors of f32.  Every operation is computed in f64 and rounded once more
    on storing; exact for + - * and, except for very rare double rounding, for fma."""

    def __init__(self, fused):
        self.fused = fused

    @staticmethod
    def vector(values):
        return array("f", values)

    def constant(self, c, like):
        return self.vector([c]) * len(like)

    def add(self, a, b):
        return self.vector([x + y for x, y in zip(a, b)])

    def mul(self, a, b):
        return self.vector([x * y for x, y in zip(a, b)])

    def fma(self, a, b, c):
        if self.fused:
            return self.vector([x * y + z for x, y, z in zip(a, b, c)])
        return self.add(self.mul(a, b), c)

    def div(self, a, b):
        return self.vector([x / y for x, y in zip(a, b)])


class Double(Single):
    """Vectors of f64.  The fused operation adds the two parts of the exact product [4]
    to the third operand and rounds once; nothing here comes near the subnormal numbers,
    where that would not be exact."""

    @staticmethod
    def vector(values):
        return array("d", values)

    @staticmethod
    def split(x):
        """`x` as a sum of two numbers of 26 bits."""
        scaled = 134_217_729.0 * x  # 2^27 + 1
        head = scaled - (scaled - x)
        return head, x - head

    @classmethod
    def fma_scalar(cls, x, y, z):
        product = x * y
        (xh, xl), (yh, yl) = cls.split(x), cls.split(y)
        lost = ((xh * yh - product) + xh * yl + xl * yh) + xl * yl
        return math.fsum((product, lost, z))

    def fma(self, a, b, c):
        if self.fused:
            return self.vector(map(self.fma_scalar, a, b, c))
        return super().fma(a, b, c)


def horner(unit, coefficients, x):
    acc = unit.constant(coefficients[-1], x)
    for c in reversed(coefficients[:-1]):
        acc = unit.fma(acc, x, unit.constant(c, x))
    return acc


def scheme_horner(unit, whole, x):
    return horner(unit, whole, x)


def scheme_x_plus_x2(unit, whole, x):
    """fma(x^2, tail(x), x), where the tail starts at the quadratic term."""
    return unit.fma(unit.mul(x, x), horner(unit, whole[2:], x), x)


def scheme_atanh(unit, whole, f):
    """f - (f^2/2 - s (f^2/2 + z p(z))), only p in Horner form with unit.fma."""
    two, half, minus = (unit.constant(c, f) for c in (2.0, 0.5, -1.0))
    s = unit.div(f, unit.add(two, f))
    z = unit.mul(s, s)
    r = unit.mul(z, horner(unit, whole[1:], z))
    hfsq = unit.mul(half, unit.mul(f, f))
    inner = unit.add(hfsq, unit.mul(minus, unit.mul(s, unit.add(hfsq, r))))
    return unit.add(f, unit.mul(minus, inner))


def scheme_odd(unit, whole, x):
    """fma(x^2 x, p(x^2), x)."""
    z = unit.mul(x, x)
    return unit.fma(unit.mul(z, x), horner(unit, whole[1:], z), x)


SCHEMES = {
    "horner": scheme_horner,
    "x_plus_x2": scheme_x_plus_x2,
    "atanh": scheme_atanh,
    "odd": scheme_odd,
}


def sample(lo, hi, count):
    """Half the points equidistant, half geometrically graded towards zero."""
    uniform = count // 2
    for k in range(uniform):
        yield lo + (hi - lo) * k / (uniform - 1)
    for k in range(count - uniform):
        end = hi if k % 2 or lo == 0 else lo
        yield end * 2.0 ** (-24.0 * k / (count - uniform))


def batches(values, size):
    batch = []
    for v in values:
        batch.append(v)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def ulps(bits, exact, computed):
    """Largest error of `computed` in ULP of the format."""
    widen = 2.0 ** (F64 - bits)
    errors = [abs(float(y - e)) / (math.ulp(float(e)) * widen) for e, y in zip(exact, computed)]
    return max(errors)


def simulate(entry, coefficients, points, fused):
    whole = [float(c) for c in list(entry.fixed) + list(coefficients)]
    single = entry.bits == F32
    unit = Single(fused) if single else Double(fused)
    if entry.scheme == "atanh":
        interval, reference = LN_RANGE, mp.log1p  # the argument is f, not z
    elif entry.scheme == "odd":
        interval, reference = (mpf(0), mp.sqrt(entry.interval[1])), mp.tanh  # x, not z
    else:
        interval, reference = entry.interval, entry.function
    if single:  # the f64 library function is exact enough to judge f32 results
        reference = {
            mp.exp: math.exp,
            mp.log1p: math.log1p,
            tanh_over_x: lambda z: math.tanh(math.sqrt(z)) / math.sqrt(z) if z else 1.0,
        }[reference]
    lo, hi = (float(v) for v in interval)
    worst = 0.0
    for batch in batches(sample(lo, hi, points if single else min(points, F64_POINTS)), CHUNK):
        x = unit.vector(batch)
        y = SCHEMES[entry.scheme](unit, whole, x)
        with mp.workprec(REFERENCE_BITS):
            worst = max(worst, ulps(entry.bits, map(reference, x), y))
    return worst


def simulate_exp_f32(coefficients, hi, lo, points, fused):
    """Complete f32 exponential: (largest ULP, largest reduced argument)."""
    unit = Single(fused)
    whole = [1.0] + [float(c) for c in coefficients]
    log2_e = float(round_to(F32, 1 / mp.log(2)))
    worst, widest = 0.0, 0.0
    grid = (-87.0 + 175.0 * k / (points - 1) for k in range(points))
    for batch in batches(grid, CHUNK):
        x = unit.vector(batch)
        n = unit.vector(map(round, unit.mul(x, unit.constant(log2_e, x))))
        t = unit.fma(n, unit.constant(-float(hi), x), x)
        t = unit.fma(n, unit.constant(-float(lo), x), t)
        p = horner(unit, whole, t)
        y = [math.ldexp(v, int(k)) for v, k in zip(p, n)]
        worst = max(worst, ulps(F32, map(math.exp, x), y))
        widest = max(widest, max(map(abs, t)))
    return worst, widest


def exp_f64(unit, table, x):
    """2^n fma(t, P(t), 1), with P = `table`; returns the value and t.  The integer n
    comes from the addition of 1.5 2^52 and the exponent's bias.  The kernel multiplies
    1 and t by 2^n beforehand, which gives the same bits."""
    hi, lo = ln2_split(F64, LN2_HEAD_F64)
    log2_e = float(round_to(F64, 1 / mp.log(2)))
    rounder = unit.constant(6_755_399_441_055_744.0 + 1023.0, x)
    n = unit.fma(x, unit.constant(log2_e, x), rounder)
    n = unit.add(n, unit.constant(-rounder[0], x))
    t = unit.fma(n, unit.constant(-float(hi), x), x)
    t = unit.fma(n, unit.constant(-float(lo), x), t)
    y = unit.fma(t, horner(unit, table, t), unit.constant(1.0, t))
    return unit.vector(math.ldexp(v, int(k)) for v, k in zip(y, n)), t


def random_arguments(lo, hi, count):
    generator = random.Random(count)
    return batches((generator.uniform(lo, hi) for _ in range(count)), CHUNK)


def simulate_exp_f64(coefficients, points, fused):
    """Complete f64 exponential of negative arguments: (largest ULP, largest |t|)."""
    unit = Double(fused)
    table = [1.0] + [float(c) for c in coefficients]
    worst, widest = 0.0, 0.0
    for batch in random_arguments(-700.0, 0.0, points):
        x = unit.vector(batch)
        y, t = exp_f64(unit, table, x)
        with mp.workprec(REFERENCE_BITS):
            worst = max(worst, ulps(F64, map(mp.exp, x), y))
        widest = max(widest, max(map(abs, t)))
    return worst, widest


def simulate_ln_f64(coefficients, exponents, points, fused):
    """Complete f64 logarithm, largest ULP for random arguments 2^-e to 2^e."""
    unit = Double(fused)
    whole = [0.0, 1.0, -0.5] + [float(c) for c in coefficients]
    hi, lo = (float(part) for part in ln2_split(F64, LN2_HEAD_F64))
    sqrt_half = math.sqrt(0.5)
    worst = 0.0
    for batch in random_arguments(-exponents, exponents, points):
        x = unit.vector(2.0 ** (e % 1.0) * 2.0 ** math.floor(e) for e in batch)
        parts = [math.frexp(v) for v in x]
        parts = [(2.0 * m, k - 1) if m < sqrt_half else (m, k) for m, k in parts]
        f, k = unit.vector(m - 1.0 for m, _ in parts), unit.vector(k for _, k in parts)
        small = unit.mul(k, unit.constant(lo, k))
        small = unit.add(scheme_x_plus_x2(unit, whole, f), small)
        y = unit.fma(k, unit.constant(hi, k), small)
        with mp.workprec(REFERENCE_BITS):
            worst = max(worst, ulps(F64, map(mp.log, x), y))
    return worst


def simulate_tanh_f64(exp_coefficients, points, fused):
    """(1 - u) / (1 + u), u = e^-2x, beyond the polynomial: largest ULP."""
    unit = Double(fused)
    table = [1.0] + [float(c) for c in exp_coefficients]
    worst = 0.0
    for batch in random_arguments(0.625, 20.0, points):
        x = unit.vector(batch)
        one = unit.constant(1.0, x)
        u, _ = exp_f64(unit, table, unit.vector(-2.0 * v for v in x))
        inverse = unit.div(one, unit.add(one, u))
        y = unit.mul(unit.vector(1.0 - v for v in u), inverse)
        with mp.workprec(REFERENCE_BITS):
            worst = max(worst, ulps(F64, map(mp.tanh, x), y))
    return worst


# --------------------------------------------------------------------------
# Output
# --------------------------------------------------------------------------


def literal(bits, value):
    """Shortest decimal that reads back as `value`, in Rust's notation."""
    number = float(value)
    assert mpf(number) == value
    if bits == F64:
        text = repr(number)
    else:
        shortest = (("%%.%dg" % d) % number for d in range(1, 18))
        text = next(s for s in shortest if array("f", [float(s)])[0] == number)
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    groups = [fraction[k : k + 3] for k in range(0, len(fraction), 3)]
    if exponent:
        return "%s.%se%d" % (whole, "_".join(groups) or "0", int(exponent))
    return "%s.%s" % (whole, "_".join(groups) or "0")


def bit_pattern(bits, value):
    if bits == F32:
        return "0x%08x" % struct.unpack("<I", struct.pack("<f", float(value)))[0]
    return "0x%016x" % struct.unpack("<Q", struct.pack("<d", float(value)))[0]


def print_scalar(bits, name, value, remark=""):
    """A scalar constant, by its name in the standard library where it has one."""
    rust = RUST_TYPE[bits]
    text = literal(bits, value)
    for known, exact in (("LN_2", mp.log(2)), ("LOG2_E", 1 / mp.log(2))):
        if value == round_to(bits, exact):
            text = "core::%s::consts::%s" % (rust, known)
    print("const %s: %s = %s; // %s%s" % (name, rust, text, bit_pattern(bits, value), remark))


def in_units(bits, error):
    return "2^%.2f = %s * 2^-%d" % (
        float(mp.log(error, 2)),
        mp.nstr(error * mpf(2) ** bits, 4),
        bits,
    )


def print_entry(entry, points):
    ideal, coefficients, achieved = solve(entry)
    rust = RUST_TYPE[entry.bits]
    lo, hi = entry.interval
    print("// %s" % entry.form)
    print("// on [%s, %s], degree %d" % (mp.nstr(lo, 8), mp.nstr(hi, 8), len(coefficients) - 1))
    print("// minimax error, before rounding:  %s" % in_units(entry.bits, ideal))
    print("// verified error, after rounding:  %s" % in_units(entry.bits, achieved))
    print(
        "// simulated in %s: %.4f ULP with FMA, %.4f ULP without"
        % (
            rust,
            simulate(entry, coefficients, points, fused=True),
            simulate(entry, coefficients, points, fused=False),
        )
    )
    print("const %s: [%s; %d] = [" % (entry.name, rust, len(coefficients)))
    for c in coefficients:
        print("    %s, // %s" % (literal(entry.bits, c), bit_pattern(entry.bits, c)))
    print("];\n", flush=True)
    return coefficients


def ln2_split(bits, width):
    """ln 2 as a head of at most `width` significant bits and a rounded tail."""
    head = round_to(width, mp.log(2))
    return head, round_to(bits, mp.log(2) - head)


def print_split(bits, width, remark):
    head, tail = ln2_split(bits, width)
    left = abs(mp.log(2) - head - tail)
    mantissa = int(mp.ldexp(head, width))
    used = width - (mantissa & -mantissa).bit_length() + 1
    print("// ln 2, %s; |ln 2 - HI - LO| = 2^%.1f" % (remark, float(mp.log(left, 2))))
    print_scalar(bits, "LN2_HI", head, ", %d significant bits" % used)
    print_scalar(bits, "LN2_LO", tail)
    print()
    return head, tail


def print_reduction(bits):
    """Constants of the Cody-Waite reduction; returns the splits by name."""
    print_scalar(bits, "LOG2_E", round_to(bits, 1 / mp.log(2)))
    print()
    if bits == F64:
        return {"wide": print_split(F64, LN2_HEAD_F64, "n * LN2_HI exact for |n| <= 2^11")}
    return {
        "12-bit head": print_split(F32, 12, "n * LN2_HI exact for |n| <= 2^12"),
        "16-bit head": print_split(F32, 16, "n * LN2_HI exact for |n| <= 2^8"),
        "full head": print_split(F32, F32, "for machines with FMA only"),
    }


def print_complete(entry, coefficients, points):
    """Simulation of the complete double-precision functions."""
    for fused in (True, False):
        remark = "with FMA" if fused else "without FMA"
        if entry.name == "EXP_F64":
            figures = simulate_exp_f64(coefficients, points, fused)
            print("// exp on [-700, 0], %s: %.4f ULP, |t| <= %.8f" % (remark, *figures))
            worst = simulate_tanh_f64(coefficients, points, fused)
            print("// tanh on [0.625, 20], from that, %s: %.4f ULP" % (remark, worst))
        elif entry.name == "LN_F64":
            for exponents in (2.0, 1000.0):
                worst = simulate_ln_f64(coefficients, exponents, points, fused)
                bounds = "[2^-%d, 2^%d]" % (exponents, exponents)
                print("// ln on %s, %s: %.4f ULP" % (bounds, remark, worst))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="entries to derive, all by default")
    parser.add_argument("--points", type=int, default=1_000_000, help="simulated points per entry")
    arguments = parser.parse_args()
    known = {entry.name for entry in TABLE}
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error("unknown entries %s; known are %s" % (unknown, sorted(known)))

    for entry in TABLE:
        if arguments.names and entry.name not in arguments.names:
            continue
        print("// ---- %s ----" % entry.name)
        coefficients = print_entry(entry, arguments.points)
        print_complete(entry, coefficients, min(arguments.points, F64_POINTS))
        if entry.function is not mp.exp:
            continue
        splits = print_reduction(entry.bits)
        if entry.bits == F32:
            for name, (hi, lo) in splits.items():
                for fused in (True, False):
                    worst, widest = simulate_exp_f32(coefficients, hi, lo, arguments.points, fused)
                    print(
                        "// exp on [-87, 88], %s, %s: %.4f ULP, |t| <= %.8f"
                        % (name, "with FMA" if fused else "without FMA", worst, widest)
                    )
            print()


if __name__ == "__main__":
    main()
