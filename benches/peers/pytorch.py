"""PyTorch's loss and gradient, eager or compiled: `python benches/peers/pytorch.py --mode compile`.

ATEN_CPU_CAPABILITY=avx2 restricts it to AVX2.
"""

import torch
import torch.nn.functional as F

from common import GAMMA, SMOOTHING, arguments, measure

options = arguments(__doc__, ["eager", "compile"])
torch.set_num_threads(options.threads)


def softmax(x, y, w):
    return F.cross_entropy(x, y)


def smoothed_weighted(x, y, w):
    return F.cross_entropy(x, y, weight=w, label_smoothing=SMOOTHING)


def focal(x, y, w):
    """PyTorch has no softmax focal loss; this is the usual code."""
    log_p = F.log_softmax(x, 1).gather(1, y[:, None])
    return -((1 - log_p.exp()) ** GAMMA * log_p).mean()


def sigmoid(x, y, w):
    return F.binary_cross_entropy_with_logits(x, y)


def pos_weight(x, y, w):
    return F.binary_cross_entropy_with_logits(x, y, pos_weight=w)


def sigmoid_focal(x, y, w):
    """The code of `torchvision.ops.sigmoid_focal_loss`, without alpha."""
    p = torch.sigmoid(x)
    losses = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    p_t = p * y + (1 - p) * (1 - y)
    return (losses * (1 - p_t) ** GAMMA).mean()


LOSSES = {
    "softmax/loss_and_grad": softmax,
    "softmax/dense": softmax,
    "softmax/smoothed_weighted": smoothed_weighted,
    "softmax/focal": focal,
    "sigmoid/loss_and_grad": sigmoid,
    "sigmoid/pos_weight": pos_weight,
    "sigmoid/focal": sigmoid_focal,
}


def prepare(name, logits, targets, weights):
    x = torch.from_numpy(logits).requires_grad_()
    y, w = torch.from_numpy(targets), torch.from_numpy(weights)
    loss = LOSSES[name]
    if options.mode == "compile":
        loss = torch.compile(loss)

    def run():
        x.grad = None
        loss(x, y, w).backward()

    return run


measure(options, f"PyTorch {torch.__version__} {options.mode}", prepare)
