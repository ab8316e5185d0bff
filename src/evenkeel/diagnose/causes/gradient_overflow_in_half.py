"""A gradient exceeded 65,504 on its way back through float16.

What you see:
    A finite loss and infinite gradients, under float16 autocast or in a float16 model.
Why:
    What travels backwards is the gradient times whatever the loss is multiplied by: a loss scale, a weight, the size
    of a batch that was summed. Where it has to pass through float16 it must not exceed 65,504, although the forward
    pass is far from it.
Bad:
    loss = 1e6 * F.mse_loss(model(x).float(), y, reduction="sum"); loss.backward()       # under autocast, no scaler
Good:
    scaler = torch.amp.GradScaler()                  # leaves an overflowed step out and halves the loss scale
    scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update()
Not this:
    A forward result beyond the range is half_overflow. Single overflows under a scaler are its daily work, and
    evenkeel reports them only when they do not end.
Source:
    The documentation of torch.amp.GradScaler, which leaves steps with infinite gradients out and lowers the scale.
"""

from __future__ import annotations

import math

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, masks, words
from evenkeel.diagnose.limits import limits_of

CODE = "EK274"
FAMILY: Family = "precision"

_SINGULAR = frozenset({"div", "reciprocal", "rsqrt", "pow", "log"})
_NO_SCALER = "; no scaler took part"
_MOST_INCOMING = 40  # a case keeps no more of the way of a gradient, so the scale may be beyond it


def judge(case: Case) -> Cause | None:
    """An infinity out of finite numbers in a backward operation of narrow range, whose forward form is finite."""
    origin = evidence.born_backward(case)
    operation = origin.derivative or origin.operation if origin is not None else None
    if origin is None or operation is None or evidence.absorbed(origin) or not _by_size(operation):
        return None
    dtype = evidence.dtype_of(operation)
    limits = limits_of(dtype)
    if limits is None or dtype not in masks.NARROW:
        return None
    arrived = max((stats.magnitude for stats in operation.inputs), default=0.0)
    factor = _factor(case)
    return Cause(
        name="gradient_overflow_in_half",
        code=CODE,
        family=FAMILY,
        text=f"The gradient of {evidence.base(origin.operation)} exceeded {number(limits.largest)}, the largest number "
        f"of {dtype}{words.at(origin)}{words.cite(origin.operation)}: what arrives reaches {number(arrived)}{factor}.",
        evidence=tuple(words.tensor(stats) for stats in (*operation.inputs, *operation.outputs)),
        confidence=0.9,
        advice=(
            "Let torch.amp.GradScaler scale the loss: it leaves such a step out and backs its scale off until the "
            "gradients fit; a scale of your own has to come down. Or use bfloat16, whose range is that of float32. A "
            "loss that is a sum over the batch becomes smaller by that factor as a mean."
        ),
    )


def _by_size(operation: Operation) -> bool:
    """An overflow, not a division by 0 nor a slope at a singular point."""
    is_singular = evidence.base(operation) in _SINGULAR and any(map(evidence.num_zeros, operation.inputs))
    return evidence.overflowed(operation) and not is_singular


def _factor(case: Case) -> str:
    """By what the loss was multiplied before backward began with 1: a loss scale, if it is a power of 2."""
    first = min(filter(_multiplies_the_seed, case.incoming), key=lambda o: o.index, default=None)
    if first is None:
        is_whole = sum(operation.phase == "backward" for operation in case.incoming) < _MOST_INCOMING
        return _NO_SCALER if is_whole else ""
    value = first.outputs[0].magnitude
    if value <= 1.0:
        return ""
    if value == 2.0 ** round(math.log2(value)):
        return f"; the loss scale is {number(value)}{words.cite(first)}"
    return f"; the factor of the loss is {number(value)}{words.cite(first)}{_NO_SCALER}"


def _multiplies_the_seed(operation: Operation) -> bool:
    """Backward begins with a gradient of exactly 1."""
    is_product = operation.phase == "backward" and evidence.base(operation) == "mul" and bool(operation.outputs)
    return is_product and any(stats.numel == 1 and stats.min == stats.max == 1.0 for stats in operation.inputs)
