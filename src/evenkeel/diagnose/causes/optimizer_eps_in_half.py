"""The eps of the optimizer is 0 in the dtype of its parameters.

What you see:
    A model whose weights are float16 has finite losses and gradients, and NaN or inf in its weights after the very
    first step of Adam, RMSprop or Adagrad.
Why:
    The update is divided by sqrt(mean(g²)) + eps. The smallest number of float16 is 6e-8, so 1e-8 is 0 there, and so
    is the square of every gradient below 1.7e-4: where no gradient arrived the update is 0/0, and where a small one
    did it is a number divided by 0.
Bad:
    model.half(); optimizer = torch.optim.Adam(model.parameters())             # eps=1e-8
Good:
    optimizer = torch.optim.Adam(model.parameters())     # float32 weights, autocast around the forward pass
Not this:
    A constant that vanishes in the loss is half_underflow. In bfloat16 1e-8 is a number like any other, and a fused
    optimizer adds it in float32.
Source:
    glide-finetune PR#6; spconv#513; magic_animate_unofficial#6.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, lineage, words
from evenkeel.diagnose.limits import HALF, limits_of

CODE = "EK273"
FAMILY: Family = "precision"

_DIVISORS = {"addcdiv": "tensor2", "div": "other", "reciprocal": "self"}


def judge(case: Case) -> Cause | None:
    """A division inside the update by something to which a constant was added that 16 bits cannot hold."""
    origin = evidence.born(case)
    if origin is None or origin.operation.phase != "optimizer":
        return None
    operation = origin.operation
    eps = _eps(case, operation)
    dtype = evidence.dtype_of(operation)
    limits = limits_of(dtype)
    if eps is None or limits is None:
        return None
    return Cause(
        name="optimizer_eps_in_half",
        code=CODE,
        family=FAMILY,
        text=f"The optimizer's eps of {number(eps)} is 0 in {dtype}, whose smallest number is "
        f"{number(limits.smallest)}, so {evidence.base(operation)} divided by "
        f"0{words.at(origin)}{words.cite(operation)}{_zeros(operation)}.",
        evidence=tuple(words.tensor(stats) for stats in (*operation.inputs, *operation.outputs)),
        confidence=0.96,
        advice=(
            "Keep the parameters and the optimizer's state in float32 and run the forward pass under autocast, with a "
            "GradScaler for float16. If the weights have to be float16, eps=1e-4 is the smallest change."
        ),
    )


def _eps(case: Case, operation: Operation) -> float | None:
    """The constant added to a divisor that is 0, if it rounds to 0 itself."""
    for position, below in lineage.arguments(operation, _DIVISORS.get(evidence.base(operation), "")):
        added = lineage.nearest(case, operation, position, _is_addition) if evidence.num_zeros(below) else None
        limits = limits_of(below.dtype) if below.dtype in HALF else None
        if added is not None and limits is not None:
            return next((scalar for scalar in added.scalars if limits.loses(scalar)), None)
    return None


def _is_addition(operation: Operation) -> bool:
    return evidence.base(operation) == "add"


def _zeros(operation: Operation) -> str:
    """How many divisors are 0."""
    below = [stats for _, stats in lineage.arguments(operation, _DIVISORS.get(evidence.base(operation), ""))]
    zeros, total = sum(map(evidence.num_zeros, below)), sum(stats.numel for stats in below)
    return f"; {zeros:,} of {total:,} divisors are 0" if total else ""
