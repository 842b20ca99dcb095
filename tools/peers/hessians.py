"""The file for the second derivatives of a booster."""

import common as b


class Hessians:
    """Second derivatives of the batch: of its softmax loss by labels, or of the sigmoid loss of its
    first column by the first column of binary targets.
    """

    def __init__(self, name, convention, versions, fmt):
        self.name, self.convention, self.versions, self.format = name, convention, versions, fmt
        self.cases = []

    def case(self, name, loss, hessian, gradient=None, sample_weights=False, logits=None, reason=None):
        """`logits` are given if they differ from the batch's."""
        case = {"name": f"{name}, {loss}, sample weights {sample_weights}", "loss": loss}
        case["sample_weights"] = sample_weights
        if logits is not None:
            case["logits"] = b.flat(logits)
        case["hessian"] = b.flat(hessian)
        if gradient is not None:
            case["grad"] = b.flat(gradient)
        case["expressible"] = reason is None
        if reason is not None:
            case["reason"] = reason
        self.cases.append(case)
        print(f"{self.name}: {case['name']}: {case['hessian'][:5]}")

    def write(self):
        head = {
            "peer": self.name,
            "convention": self.convention,
            "versions": self.versions,
            "format": self.format,
        }
        b.dump(b.FOLDER / f"hessian-{self.name}.json", head, "cases", self.cases)
