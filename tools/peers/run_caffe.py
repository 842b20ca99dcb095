"""Caffe: its loss layers, in f64, compiled from their source.

There is no package of Caffe to install, but one contains its source:

    pip download --no-deps --no-binary :all: brocolli-caffe==9.0.2 && tar xzf brocolli-caffe-9.0.2.tar.gz
    apt-get install g++ protobuf-compiler libprotobuf-dev libboost-system-dev libboost-thread-dev \\
        libgoogle-glog-dev libgflags-dev libopenblas-dev
    python run_caffe.py brocolli-caffe-9.0.2

The files of the loss layers are compiled with `caffe/layer.cpp` in a temporary folder (a minute).
"""

import math
import subprocess
import sys
import tempfile
from pathlib import Path

import common as b

FILES = """
    blob common layer syncedmem util/math_functions layers/loss_layer layers/softmax_layer layers/softmax_loss_layer
    layers/sigmoid_layer layers/sigmoid_cross_entropy_loss_layer layers/multinomial_logistic_loss_layer
    layers/neuron_layer
""".split()


def compiled(source, folder):
    proto = source / "src/caffe/proto/caffe.proto"
    generated = folder / "caffe/proto"
    generated.mkdir(parents=True)
    subprocess.run(["protoc", f"-I{proto.parent}", f"--cpp_out={generated}", proto], check=True)
    # One file at a time, for small machines.
    sources = [source / "src/caffe" / f"{name}.cpp" for name in FILES]
    sources += [generated / "caffe.pb.cc", Path(__file__).parent / "caffe/layer.cpp"]
    objects = []
    for number, file in enumerate(sources):
        objects.append(folder / f"{number}.o")
        subprocess.run(
            ["g++", "-std=c++17", "-O1", "-w", "-DCPU_ONLY", f"-I{folder}", f"-I{source / 'include'}",
             "-c", file, "-o", objects[-1]],
            check=True,
        )
    program = folder / "layer"
    libraries = ["-lprotobuf", "-lglog", "-lgflags", "-lboost_thread", "-lboost_system", "-lopenblas", "-lpthread"]
    subprocess.run(["g++", "-o", program, *objects, *libraries], check=True)
    return program


def main():
    source = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(source, Path(folder))

        def answer(layer, inputs, labels):
            values = [layer, b.ROWS, b.CLASSES, len(b.flat(labels)) // b.ROWS, *b.flat(inputs), *b.flat(labels)]
            text = f"{values[0]}\n" + " ".join(map(str, values[1:]))
            out = subprocess.run([program], input=text, capture_output=True, text=True, check=True).stdout
            loss, *gradient = map(float, out.split())
            return loss, gradient

        record(answer)


def record(answer):
    record = b.Record("caffe", "caffe", {"caffe": "1.0.0-rc3", "brocolli-caffe": "9.0.2"})
    modes = {
        "": {}, "VALID": {}, "NONE": {"reduction": "sum"},
        "FULL": {"mean_over": "AllRows"}, "BATCH_SIZE": {"mean_over": "AllRows"},
    }
    for ignored, index in (("none", None), ("some", -1), ("some", 255), ("all", -1)):
        for mode, setting in modes.items():
            ignoring = "" if index is None else f"ignore_label: {index} "
            normalization = f"normalization: {mode}" if mode else ""
            layer = f'type: "SoftmaxWithLoss" loss_param {{ {ignoring}{normalization} }}'
            record.case(
                f"SoftmaxWithLoss {mode or 'by default'}, ignored {ignored} {index}",
                "softmax",
                *answer(layer, b.LOGITS, b.labels(ignored, index)),
                ignored=ignored,
                **({} if index is None else {"ignore_index": index}),
                **setting,
            )
    for targets in ("binary", "soft"):
        layer = 'type: "SigmoidCrossEntropyLoss"'
        record.case(
            f"SigmoidCrossEntropyLoss, {targets}", "sigmoid", *answer(layer, b.LOGITS, b.BATCH[targets]), targets=targets
        )
    p = [[math.exp(x) / sum(map(math.exp, row)) for x in row] for row in b.LOGITS]
    loss, _ = answer('type: "MultinomialLogisticLoss"', p, b.LABELS)
    record.case("MultinomialLogisticLoss", "multinomial_logistic", loss)
    record.write()


if __name__ == "__main__":
    main()
