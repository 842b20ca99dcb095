"""torchvision: sigmoid_focal_loss, in f64. Needs requirements/pytorch.txt."""

import torch
import torchvision
from torchvision.ops import sigmoid_focal_loss

import common as b


def main():
    record = b.Record("torchvision", "pytorch", {"torchvision": torchvision.__version__.split("+")[0]})
    for targets in ("binary", "soft"):
        for gamma, alpha in ((2.0, 0.25), (2.0, -1), (0.0, 0.75), (0.5, 0.25), (3.5, -1)):
            for reduction in ("none", "sum", "mean"):
                x = torch.tensor(b.LOGITS, dtype=torch.float64, requires_grad=True)
                y = torch.tensor(b.BATCH[targets], dtype=torch.float64)
                value = sigmoid_focal_loss(x, y, alpha=alpha, gamma=gamma, reduction=reduction)
                value.sum().backward()
                if reduction == "none" and gamma != 2.0:
                    continue
                record.case(
                    f"{targets}, gamma {gamma}, alpha {alpha}, {reduction}",
                    "sigmoid",
                    value.detach(),
                    x.grad,
                    targets=targets,
                    gamma=gamma,
                    alpha=None if alpha < 0 else alpha,
                    reduction=reduction,
                )
    record.write()


main()
