"""Writes exact.txt, which tests/exact.rs compares the module `exact` with, using mpmath.

Usage: python3 exact.py [factor] > exact.txt, with factor times as many points.

A line has a function, its arguments and its results. An argument is the bits of an f64; a result
is hi:lo:power, (hi + lo)*2^power with the bits of two f64.
"""

import random
import struct
import sys

import mpmath as mp

# Enough digits for e^-1600 to register next to 1.
mp.mp.prec = 3000
FACTOR = int(sys.argv[1]) if len(sys.argv) > 1 else 1


def bits(x):
    return "%016x" % struct.unpack("<Q", struct.pack("<d", x))[0]


def answer(v):
    if v == 0:
        return "0:0:0"
    power = int(mp.floor(mp.log(abs(v), 2)))
    hi = float(mp.ldexp(v, -power))
    lo = float(mp.ldexp(v, -power) - mp.mpf(hi))
    return "%s:%s:%d" % (bits(hi), bits(lo), power)


def ln_1p(u):
    # The precision suffices for all but the smallest.
    return mp.log(1 + u) if abs(u) > mp.mpf(2) ** -200 else u - u * u / 2 + u * u * u / 3


def softplus(x):
    return ln_1p(mp.exp(x))


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def line(name, arguments, answers):
    print(name, ",".join(map(bits, arguments)), ",".join(map(answer, answers)))


def power_of_ten(a, b):
    return 10 ** random.uniform(a, b)


def functions():
    sign = lambda: random.choice((-1, 1))
    for x in (-700.0, -745.0, -745.2, 709.8, 5e-324):
        line("exp", [x], [mp.exp(mp.mpf(x))])
    for x in (5e-324, 2.0, 1.7976931348623157e308, 1 - 2.0**-53, 1 + 2.0**-52):
        line("ln", [x], [mp.log(mp.mpf(x))])
    for x in (1e-300, -1e-300, 1e-16, 5e-324, -0.5, -1 + 2.0**-53):
        line("ln_1p", [x], [ln_1p(mp.mpf(x))])
    for _ in range(4 * FACTOR):
        exps = (random.uniform(-1, 1), random.uniform(-20, 20), random.uniform(-709, 709),
                random.uniform(-746, -708), sign() * power_of_ten(-20, 0))
        for x in exps:
            line("exp", [x], [mp.exp(mp.mpf(x))])
        lns = (power_of_ten(-320, 308), random.uniform(0.5, 2),
               1 + sign() * power_of_ten(-15, -1), power_of_ten(-3, 3))
        for x in lns:
            line("ln", [x], [mp.log(mp.mpf(x))])
        ln_1ps = (power_of_ten(-300, -16), sign() * power_of_ten(-16, -2), random.random(),
                  -random.random(), sign() * random.uniform(0.2, 0.3), power_of_ten(0, 308))
        for x in ln_1ps:
            line("ln_1p", [x], [ln_1p(mp.mpf(x))])
        for x in (random.uniform(-40, 40), random.uniform(-800, 800), sign() * power_of_ten(-9, 0)):
            v = mp.mpf(x)
            line("sigmoid", [x], [sigmoid(v)])
            line("softplus", [x], [softplus(v)])
    for _ in range(3 * FACTOR):
        x, y, w = random.uniform(-50, 50), random.random(), random.uniform(0, 5)
        v, negative, positive = mp.mpf(x), 1 - mp.mpf(y), mp.mpf(y) * mp.mpf(w)
        loss = negative * softplus(v) + positive * softplus(-v)
        gradient = negative * sigmoid(v) - positive * sigmoid(-v)
        line("sigmoid_cross_entropy", [x, y, w], [loss, gradient])


def rows():
    for _ in range(2 * FACTOR):
        for spread in (1, 30, 800):
            classes = random.randrange(2, 8)
            x = [random.uniform(-spread, spread) for _ in range(classes)]
            one_hot = [0.0] * classes
            one_hot[random.randrange(classes)] = 1.0
            dense = [random.uniform(0, 2) for _ in range(classes)]
            for q in (one_hot, dense):
                row(x, q)
    # Certain of its class; if the target is that class only, the loss is tiny.
    row([57.5, 0.0, -1.25], [1.0, 0.0, 0.0])
    row([600.0, -150.0, -151.5], [1.0, 0.0, 0.0])


def row(x, q):
    v, t = list(map(mp.mpf, x)), list(map(mp.mpf, q))
    m = max(v)
    first = v.index(m)
    others = mp.fsum(mp.exp(v[c] - m) for c in range(len(v)) if c != first)
    lse = m + ln_1p(others)
    surprise = [m - u + ln_1p(others) for u in v]
    p = [mp.exp(u - m) / (1 + others) for u in v]
    total = mp.fsum(t)
    gradient = [total * b - a for a, b in zip(t, p)]
    line("log_sum_exp", x, [lse])
    line("softmax", x, p)
    line("log_softmax", x, [-s for s in surprise])
    loss = mp.fsum(a * s for a, s in zip(t, surprise))
    line("cross_entropy", x + q, [loss] + gradient)


random.seed(20)
functions()
rows()
