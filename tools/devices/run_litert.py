#!/usr/bin/env python3
"""Run the int8 digits network in LiteRT and in TensorFlow Lite Micro, and record what they give out.

    pip install -r tools/devices/requirements.txt
    python tools/devices/run_litert.py [FOLDER]

It builds the network of ``embedded/digits-net`` (weights from ``tools/quantise_digits.py``) as .tflite models: with
its int8 logits as output, then with DEQUANTIZE, LOG_SOFTMAX and SOFTMAX behind them.  All 360 digits go through
LiteRT with its default kernels (XNNPACK) and with its reference kernels, and through TensorFlow Lite Micro.

It prints how far they are from each other and from the firmware's own rounding, in steps of the output, and writes
``crates/xent-reference/golden/quantised.json``, the first digits' outputs, for tests, and next to it
``digits-int8.tflite``, the model of the logits.  With FOLDER, the logits of all digits are written there as
``litert-logits.npy`` and ``micro-logits.npy``, for ``xent compare``.
"""

import json
import sys
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_micro.python.tflite_micro import runtime

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from quantise_digits import activations, fixed_point, float_layers, scale_of_weights  # noqa: E402

DATA = ROOT / "embedded" / "digits-net" / "data"
GOLDEN = ROOT / "crates" / "xent-reference" / "golden" / "quantised.json"
MODEL = GOLDEN.with_name("digits-int8.tflite")
RECORDED = 24
OPERATORS = {
    "DEQUANTIZE": (schema.BuiltinOperator.DEQUANTIZE, schema.DequantizeOptionsT, schema.BuiltinOptions.DequantizeOptions),
    "LOG_SOFTMAX": (schema.BuiltinOperator.LOG_SOFTMAX, schema.LogSoftmaxOptionsT, schema.BuiltinOptions.LogSoftmaxOptions),
    "SOFTMAX": (schema.BuiltinOperator.SOFTMAX, schema.SoftmaxOptionsT, schema.BuiltinOptions.SoftmaxOptions),
}
OUTPUTS = {"LOG_SOFTMAX": (1 / 16, 127), "SOFTMAX": (1 / 256, -128)}


class Model:
    """A .tflite file with one subgraph."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.model.operatorCodes = [], [], []

    def tensor(self, name, shape, kind, quantisation=None, data=None) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), kind
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        if quantisation is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [quantisation[0]], [quantisation[1]]
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, code, options, kind, inputs, outputs, version=1) -> None:
        operator = schema.OperatorT()
        codes = self.model.operatorCodes
        entry = schema.OperatorCodeT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        entry.version = version
        codes.append(entry)
        operator.opcodeIndex = len(codes) - 1
        operator.inputs, operator.outputs = inputs, outputs
        operator.builtinOptions, operator.builtinOptionsType = options, kind
        self.graph.operators.append(operator)

    def fully_connected(self, number, before, of_before, after, relu) -> int:
        weights = np.load(DATA / f"layer-{number}-int8.npy")
        bias = np.load(DATA / f"layer-{number}-bias.npy")
        scale = float(scale_of_weights(float_layers()[number - 1]))
        outputs = weights.shape[1]
        w = self.tensor(f"weights{number}", weights.T.shape, schema.TensorType.INT8, (scale, 0), weights.T)
        b = self.tensor(f"bias{number}", (outputs,), schema.TensorType.INT32, (scale * of_before[0], 0), bias)
        out = self.tensor(f"out{number}", (1, outputs), schema.TensorType.INT8, after)
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = (
            schema.ActivationFunctionType.RELU if relu else schema.ActivationFunctionType.NONE
        )
        self.operator(
            schema.BuiltinOperator.FULLY_CONNECTED, options, schema.BuiltinOptions.FullyConnectedOptions,
            [before, w, b], [out], version=4,
        )
        return out

    def bytes(self, first, last) -> bytes:
        self.graph.inputs, self.graph.outputs = [first], [last]
        self.model.subgraphs = [self.graph]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def digits(last: str | None, quantisations) -> bytes:
    model = Model()
    of_input, of_hidden, of_logits = quantisations
    first = model.tensor("pixels", (1, 64), schema.TensorType.INT8, of_input)
    hidden = model.fully_connected(1, first, of_input, of_hidden, relu=True)
    out = model.fully_connected(2, hidden, of_hidden, of_logits, relu=False)
    if last is not None:
        code, options, kind = OPERATORS[last]
        options = options()
        if last == "SOFTMAX":
            options.beta = 1.0
        is_float = last == "DEQUANTIZE"
        kind_of_output = schema.TensorType.FLOAT32 if is_float else schema.TensorType.INT8
        end = model.tensor("end", (1, 10), kind_of_output, OUTPUTS.get(last))
        model.operator(code, options, kind, [out], [end], version=2)
        out = end
    return model.bytes(first, out)


def litert(content: bytes, images: np.ndarray, resolver) -> np.ndarray:
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    first, last = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    rows = []
    for image in images:
        interpreter.set_tensor(first, image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(last)[0].copy())
    return np.array(rows)


def micro(content: bytes, images: np.ndarray) -> np.ndarray:
    interpreter = runtime.Interpreter.from_bytes(content)
    rows = []
    for image in images:
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        rows.append(np.array(interpreter.get_output(0))[0].copy())
    return np.array(rows)


def apart(name: str, a: np.ndarray, b: np.ndarray) -> None:
    steps = np.abs(a.astype(int) - b.astype(int))
    changed = int((a.argmax(1) != b.argmax(1)).sum())
    print(f"{name}: {np.count_nonzero(steps)} of {steps.size} differ, by {steps.max()} at most; "
          f"{changed} of {len(a)} predicted differently")


def firmware(images: np.ndarray, quantisations) -> np.ndarray:
    """The firmware's rounding: once, halves up."""
    x = images.astype(np.int64)
    for number in (1, 2):
        scale = scale_of_weights(float_layers()[number - 1])
        (before, zero), (after, to_zero) = quantisations[number - 1 : number + 1]
        weights = np.load(DATA / f"layer-{number}-int8.npy").astype(np.int64)
        sums = (x - zero) @ weights + np.load(DATA / f"layer-{number}-bias.npy")
        multiplier, shift = fixed_point(float(before) * float(scale) / float(after))
        rounded = (sums * multiplier + (1 << (shift - 1))) >> shift
        x = np.clip(rounded + to_zero, -128, 127)
    return x.astype(np.int8)


def main() -> None:
    images = np.load(DATA / "images.npy").reshape(-1, 64).astype(np.int8)
    labels = np.load(DATA / "labels.npy").reshape(-1)
    quantisations = [(float(scale), zero_point) for scale, zero_point in activations()]

    own = firmware(images, quantisations)
    found = {}
    for last in (None, *OPERATORS):
        content = digits(last, quantisations)
        found[last] = (
            litert(content, images, OpResolverType.AUTO),
            litert(content, images, OpResolverType.BUILTIN_REF),
            micro(content, images),
        )
    default, reference, small = found[None]
    apart("logits, LiteRT (XNNPACK) against its reference kernels", default, reference)
    apart("logits, LiteRT against TensorFlow Lite Micro", default, small)
    apart("logits, LiteRT against the firmware", default, own)
    apart("logits, TensorFlow Lite Micro against the firmware", small, own)
    for last in ("LOG_SOFTMAX", "SOFTMAX"):
        apart(f"{last}, LiteRT against TensorFlow Lite Micro", found[last][0], found[last][2])

    scale, zero_point = quantisations[2]
    golden = {
        "versions": "ai-edge-litert 2.3.0, tflite-micro 0.dev20261023182759",
        "scale": float(np.float32(scale)),
        "zero_point": zero_point,
        "labels": labels[:RECORDED].tolist(),
        "logits": default[:RECORDED].tolist(),
        "dequantised": found["DEQUANTIZE"][0][:RECORDED].astype(float).tolist(),
        "log_softmax": found["LOG_SOFTMAX"][1][:RECORDED].tolist(),
        "softmax": found["SOFTMAX"][1][:RECORDED].tolist(),
        "micro": {
            "logits": small[:RECORDED].tolist(),
            "dequantised": found["DEQUANTIZE"][2][:RECORDED].astype(float).tolist(),
            "log_softmax": found["LOG_SOFTMAX"][2][:RECORDED].tolist(),
            "softmax": found["SOFTMAX"][2][:RECORDED].tolist(),
        },
    }
    text = json.dumps(golden, indent=1)
    GOLDEN.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
    MODEL.write_bytes(digits(None, quantisations))
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        np.save(folder / "litert-logits.npy", default)
        np.save(folder / "micro-logits.npy", small)


if __name__ == "__main__":
    main()
