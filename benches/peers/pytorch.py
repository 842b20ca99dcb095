"""PyTorch's loss and gradient, eager or compiled: `python benches/peers/pytorch.py --mode compile`.

ATEN_CPU_CAPABILITY=avx2 holds it to AVX2.
"""

import torch
import torch.nn.functional as F

from common import arguments, measure

options = arguments(__doc__, ["eager", "compile"])
torch.set_num_threads(options.threads)


def prepare(name, logits, targets):
    x = torch.from_numpy(logits).requires_grad_()
    y = torch.from_numpy(targets)
    sigmoid = name.startswith("sigmoid")
    loss = F.binary_cross_entropy_with_logits if sigmoid else F.cross_entropy
    if options.mode == "compile":
        loss = torch.compile(loss)

    def run():
        x.grad = None
        loss(x, y).backward()

    return run


measure(options, f"PyTorch {torch.__version__} {options.mode}", prepare)
