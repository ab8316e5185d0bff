"""A float16 result exceeded 65,504.

What you see:
    inf out of a product, a sum or a matrix product in float16, or under autocast.
Why:
    float16 ends at 65,504. A square of 256 is too large for it, and so is a sum of some thousand
    activations.
Bad:
    energy = (x.half() ** 2).sum()
Good:
    energy = (x.float() ** 2).sum()            # or bfloat16, whose range is that of float32
Not this:
    A mask constant such as -1e9 that became -inf is mask_constant_overflow; an exp is exp_overflow; a gradient
    is gradient_overflow_in_half; an update is optimizer_eps_in_half or optimizer_update.
Source:
    transformers#17306 and apex#93 for the neighbouring mask arithmetic.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, masks, words
from evenkeel.diagnose.limits import limits_of

CODE = "EK223"
FAMILY: Family = "range"


def judge(case: Case) -> Cause | None:
    """An infinity out of finite numbers in a format of narrow range, in forward."""
    origin = evidence.born(case)
    operation = evidence.overflow(origin) if origin is not None else None
    if origin is None or operation is None or evidence.base(operation) in evidence.EXPONENTIALS:
        return None
    if operation.phase != "forward":
        return None
    dtype = evidence.dtype_of(operation)
    limits = limits_of(dtype)
    if limits is None or dtype not in masks.NARROW or masks.overflowed_mask(operation) is not None:
        return None
    name = evidence.base(operation)
    values = " and ".join(number(stats.magnitude) for stats in operation.inputs)
    return Cause(
        name="half_overflow",
        code=CODE,
        family=FAMILY,
        text=f"{name} exceeded {number(limits.largest)}, the largest number of "
        f"{dtype}{words.at(origin)}{words.cite(origin.operation)}: its inputs reach {values}.",
        evidence=tuple(words.tensor(stats) for stats in operation.inputs),
        confidence=0.86,
        advice="Compute this operation in float32 (x.float(), or autocast switched off around it), or use bfloat16.",
    )
