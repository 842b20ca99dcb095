#!/usr/bin/env python3
"""Quantise the digits network to int8, as TensorFlow Lite's converter does after training.

It needs Python 3.9+ and NumPy::

    pip install numpy
    python tools/quantise_digits.py

It reads ``embedded/digits-net/data/layer-*.npy`` and writes next to them ``layer-*-int8.npy`` (weights) and
``layer-*-bias.npy`` (int32), and ``embedded/digits-net/src/int8/parameters.rs`` (scales, zero points,
multipliers).

Weights are symmetric, with one scale for a layer. Activations are affine: the pixels 0 to 16 are exact with a
scale of 1/16; the ranges of the hidden layer and of the logits are those of all 360 images.  A layer's
accumulator is multiplied by ``multiplier / 2^shift``, a fixed-point number of 31 bits, and rounded once
(B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", 2018, section 2.2).
"""

from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent / "embedded" / "digits-net"


def affine(values: np.ndarray) -> tuple[np.float32, int]:
    """Scale and zero point of int8 for a range that includes zero."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    scale = np.float32((high - low) / 255)
    return scale, int(np.clip(round(-128 - low / scale), -128, 127))


def fixed_point(factor: float) -> tuple[int, int]:
    """``multiplier / 2^shift``, with a multiplier of 31 bits."""
    mantissa, exponent = np.frexp(factor)
    multiplier = round(float(mantissa) * 2**31)
    if multiplier == 2**31:
        multiplier, exponent = multiplier // 2, exponent + 1
    return multiplier, 31 - int(exponent)


def float_layers() -> list[np.ndarray]:
    """The layers of the network: a row for each input, and the biases."""
    return [np.load(ROOT / "data" / f"layer-{n}.npy") for n in (1, 2)]


def activations() -> list[tuple[np.float32, int]]:
    """Scale and zero point of the pixels, of the hidden layer and of the logits."""
    images = np.load(ROOT / "data" / "images.npy").reshape(-1, 64).astype(np.float32) / 16
    layers = float_layers()
    hidden = np.maximum(images @ layers[0][:-1] + layers[0][-1], 0)
    logits = hidden @ layers[1][:-1] + layers[1][-1]
    return [(np.float32(1 / 16), 0), affine(hidden), affine(logits)]


def scale_of_weights(layer: np.ndarray) -> np.float32:
    return np.float32(np.abs(layer[:-1]).max() / 127)


def main() -> None:
    layers, ranges = float_layers(), activations()
    lines = [
        "//! Scales and zero points. Made by `tools/quantise_digits.py`.",
        "",
        "use super::Requantisation;",
        "",
    ]
    for number, layer in enumerate(layers, start=1):
        (before, _), (after, zero_point) = ranges[number - 1 : number + 1]
        scale = scale_of_weights(layer)
        weights = np.clip(np.rint(layer[:-1] / scale), -127, 127).astype(np.int8)
        bias = np.rint(layer[-1] / (float(before) * float(scale))).astype(np.int32)
        np.save(ROOT / "data" / f"layer-{number}-int8.npy", weights)
        np.save(ROOT / "data" / f"layer-{number}-bias.npy", bias)
        multiplier, shift = fixed_point(float(before) * float(scale) / float(after))
        name = ["FIRST", "SECOND"][number - 1]
        lines += [
            f"pub(super) const {name}: Requantisation =",
            f"    Requantisation {{ multiplier: {multiplier:_}, shift: {shift}, zero_point: {zero_point} }};",
        ]
    (scale, zero_point) = ranges[2]
    lines += [
        "",
        "/// The scale of the logits.",
        f"pub const SCALE: f32 = {scale!s};",
        "/// Their zero point.",
        f"pub const ZERO_POINT: i32 = {zero_point};",
        f"pub(super) const ZERO_OF_HIDDEN: i32 = {ranges[1][1]};",
    ]
    folder = ROOT / "src" / "int8"
    folder.mkdir(exist_ok=True)
    (folder / "parameters.rs").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
