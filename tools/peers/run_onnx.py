"""The operators of ONNX, in its reference evaluator and in onnxruntime, in f32. Needs requirements/onnx.txt.

Each file has the results of one of the two.
"""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import common as b

OPSET = 13


def model(operator, weighted, **attributes):
    number = TensorProto.FLOAT
    inputs = [
        helper.make_tensor_value_info("x", number, [b.ROWS, b.CLASSES]),
        helper.make_tensor_value_info("labels", TensorProto.INT64, [b.ROWS]),
    ]
    if weighted:
        inputs.append(helper.make_tensor_value_info("weights", number, [b.CLASSES]))
    names = [value.name for value in inputs]
    node = helper.make_node(operator, names, ["loss"], **attributes)
    shape = [b.ROWS] if attributes.get("reduction") == "none" else []
    output = helper.make_tensor_value_info("loss", number, shape)
    graph = helper.make_graph([node], "loss", inputs, [output])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    made.ir_version = 9
    onnx.checker.check_model(made)
    return made


def record(name, versions, run):
    answers = b.Record(name, "onnx", versions, "f32")
    logits = np.array(b.LOGITS, np.float32)
    wide = logits.astype(np.float64)
    log_p = (wide - np.log(np.exp(wide).sum(1, keepdims=True))).astype(np.float32)
    losses = (("SoftmaxCrossEntropyLoss", "softmax", logits), ("NegativeLogLikelihoodLoss", "nll", log_p))
    for operator, loss, x in losses:
        for ignored, index in (("none", None), ("some", -1), ("some", 255), ("all", -1)):
            for weighted in (False, True):
                for reduction in (None, "none", "sum"):
                    if reduction and not (weighted and ignored == "some"):
                        continue
                    attributes = {"reduction": reduction} if reduction else {}
                    setting = dict(attributes)
                    if index is not None:
                        attributes["ignore_index"] = setting["ignore_index"] = index
                    feeds = {"x": x, "labels": np.array(b.labels(ignored, index), np.int64)}
                    if weighted:
                        feeds["weights"] = np.array(b.CLASS_WEIGHTS, np.float32)
                    with np.errstate(all="ignore"):
                        value = run(model(operator, weighted, **attributes), feeds)
                    shown = f"{ignored} {index}" if index is not None else ignored
                    # Only the reference evaluator.
                    by_all_rows = name == "onnx" and loss == "nll" and index == -1 and not weighted
                    reason = "the mean divides by all rows, as the label to ignore is negative"
                    answers.case(
                        f"{operator}, ignored {shown}, class weights {weighted}, {reduction or 'mean'}",
                        loss,
                        value,
                        reason=reason if by_all_rows else None,
                        ignored=ignored,
                        class_weights=weighted,
                        **setting,
                    )
    answers.write()


def by_runtime(made, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def main():
    record("onnx", {"onnx": onnx.__version__}, lambda made, feeds: ReferenceEvaluator(made).run(None, feeds)[0])
    record("onnxruntime", {"onnxruntime": onnxruntime.__version__}, by_runtime)


main()
