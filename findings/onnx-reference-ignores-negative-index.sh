#!/bin/sh
# onnx 1.23.2, reference evaluator: NegativeLogLikelihoodLoss without weights, mean, ignore_index.
#
# Expected: the mean divides by the rows that are not ignored, whatever number marks an ignored row, as the
#           operator's text says and as onnxruntime and SoftmaxCrossEntropyLoss do.
# Found:    true for ignore_index 255 (1.0). With -1 the mean divides by all rows (0.5), and a batch of ignored
#           rows only has the mean 0.0 instead of NaN.
# xent:     1.0 for both (`NegativeLogLikelihood::preset(Preset::Onnx).with_ignore_index(-1)`).
#
# Exits 0 while this is true, 1 once it has changed. Installs into a temporary folder.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

log_p = np.full((4, 3), -1.0, np.float32)  # every row has the loss 1


def mean(index, labels):
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 3]),
        helper.make_tensor_value_info("y", TensorProto.INT64, [4]),
    ]
    output = helper.make_tensor_value_info("loss", TensorProto.FLOAT, [])
    node = helper.make_node("NegativeLogLikelihoodLoss", ["x", "y"], ["loss"], ignore_index=index)
    model = helper.make_model(
        helper.make_graph([node], "g", inputs, [output]), opset_imports=[helper.make_opsetid("", 13)]
    )
    return float(ReferenceEvaluator(model).run(None, {"x": log_p, "y": np.array(labels)})[0])


seen = mean(255, [0, 1, 255, 255]), mean(-1, [0, 1, -1, -1]), mean(-1, [-1] * 4)
print(seen)
assert seen == (1.0, 0.5, 0.0), "it has changed"
PY
