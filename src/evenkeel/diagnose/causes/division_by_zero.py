"""Something was divided by exactly 0.

What you see:
    An infinite or NaN value out of a division, a reciprocal or a weight normalisation.
Why:
    The denominator is a norm, a distance, an area or a probability that can be 0 for a legal input: a zero
    vector, a box without area, the identity rotation, a weight filled with zeros.
Bad:
    direction = g / g.norm()
Good:
    n = g.norm(); direction = g / torch.where(n > 0, n, 1.0)     # the zero vector keeps the direction zero
Not this:
    A denominator that counts something is empty_reduction; a range or spread of a constant is
    constant_feature; an exponential or a product that came out as 0 is exp_underflow; rsqrt or a negative power
    is power_of_zero; a tiny denominator that is not 0 is tiny_denominator; an epsilon that vanished in 16
    bits is half_underflow; a division only in the branch not taken is unselected_branch.
Source:
    GRIST ID_29; LookSAM#1; pytorch#19126; pytorch3d#189; yolov5#13416; BASNet PR#69.
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.diagnose import evidence, words

CODE = "EK202"
FAMILY: Family = "domain"


def judge(case: Case) -> Cause | None:
    """A division, reciprocal or weight normalisation with a zero below the line, in forward."""
    origin = evidence.born(case)
    if origin is None or not evidence.divides_by_zero(origin):
        return None
    operation = origin.operation
    if evidence.base(operation) in evidence.POWERS:
        return None
    below = evidence.denominator(operation)
    source = evidence.maker(case, below) if below is not None else None
    made = (
        f" The denominator was made by {evidence.base(source)}{words.cite(source, unless=operation)}." if source else ""
    )
    return Cause(
        name="division_by_zero",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(operation)} divided {_numerator(origin)} by 0{words.at(origin)}"
        f"{words.cite(operation)}.{made}",
        evidence=_evidence(operation, below),
        confidence=0.6 if operation.phase == "optimizer" or evidence.in_backward(origin) else 0.85,
        advice=(
            "Decide what the result shall be where the denominator d is 0, and divide by torch.where(d == "
            "0, 1, d) there; for a ratio of two lengths take atan2, for a direction keep zero vectors "
            "zero. A weight under weight_norm must not be initialised with zeros: put the zero into g."
        ),
    )


def _numerator(origin: Origin) -> str:
    """What stood above the line at the bad elements."""
    if evidence.base(origin.operation) == "reciprocal":
        return "1"
    if evidence.base(origin.operation) == "weight_norm":
        return "a weight whose norm is 0"
    values = () if evidence.in_backward(origin) else evidence.operands(origin, "self")
    return words.some(values) or "a number"


def _evidence(operation: Operation, below: TensorStats | None) -> tuple[str, ...]:
    """How many denominators are 0, and the ranges."""
    if below is None:
        return (f"the denominator is {words.some(operation.scalars) or 'a tensor of integers that holds a 0'}",)
    zeros = words.plural(evidence.num_zeros(below), "element")
    return (
        f"{zeros} of {below.numel:,} of the denominator are 0",
        *(words.tensor(s) for s in operation.inputs),
    )
