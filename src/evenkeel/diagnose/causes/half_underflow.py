"""A safety constant vanished in 16 bits.

What you see:
    A division by 0, a log(0) or a log1p(-1), although an epsilon was added or a bound was set.
Why:
    1e-15 is 0 in float16, whose smallest number is 6e-8, and 1 - 1e-6 is 1 in float16 and bfloat16, which
    know only three decimal places. The guard is written and does nothing.
Bad:
    weight = 1 / (degree + 1e-15)                      # degree in float16
Good:
    weight = torch.where(degree == 0, 0, 1 / torch.where(degree == 0, 1, degree))     # or compute in float32
Not this:
    Without a constant that rounds away it is division_by_zero or log_of_nonpositive.
Source:
    GLiNER2 PR#155; pyg PR#2106.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import extent, number
from evenkeel.diagnose import evidence, words
from evenkeel.diagnose.limits import HALF, limits_of

CODE = "EK224"
FAMILY: Family = "range"

_SINGULAR = evidence.LOGARITHMS | evidence.DIVISIONS | {"rsqrt", "sqrt", "pow", "atanh", "logit"}
_GUARDS = frozenset({"add", "sub", "rsub", "clamp", "clamp_min", "clamp_max", "maximum", "minimum", "logit"})
_NEAR = 5


def judge(case: Case) -> Cause | None:
    """A singular operation in 16 bits, with a constant shortly before it that is 0 or 1 in that dtype."""
    origin = evidence.born(case)
    if origin is None or evidence.base(origin.operation) not in _SINGULAR:
        return None
    guard = next((o for o in (origin.operation, *case.upstream[:_NEAR]) if _lost(o) is not None), None)
    if guard is None:
        return None
    constant = _lost(guard) or 0.0
    operation, dtype = origin.operation, evidence.dtype_of(guard)
    kind = f"the bound {constant:.15g}" if _is_bound(guard) else f"the constant {constant:.15g}"
    rounded = 1 if constant > 0.5 else 0  # noqa: PLR2004 - halfway: it rounded to one of the two
    received = f" ({extent(operation.inputs[0])})" if operation.inputs else ""
    return Cause(
        name="half_underflow",
        code=CODE,
        family=FAMILY,
        text=f"{kind}{words.cite(guard, unless=operation)} is {rounded} in {dtype}, so it guards nothing: "
        f"{evidence.base(operation)} was taken at its singular "
        f"point{words.at(origin)}{words.cite(operation)}{received}.",
        evidence=(_format(dtype), *(words.tensor(stats) for stats in operation.inputs)),
        confidence=0.95,
        advice="Compute this expression in float32, or take the form that needs no guard: logsigmoid(-z) "
        "from the logits for log(1 - p), torch.where(x == 0, 1, x) for a denominator.",
    )


def _lost(operation: Operation) -> float | None:
    """The constant of a guard that 16 bits cannot tell from 0, or from 1."""
    limits = limits_of(evidence.dtype_of(operation))
    if limits is None or evidence.dtype_of(operation) not in HALF or evidence.base(operation) not in _GUARDS:
        return None
    scalars = operation.scalars
    if evidence.base(operation) == "logit":  # its eps bounds the argument at 1 - eps
        scalars = tuple(1.0 - eps for eps in scalars)
    lost = (s for s in scalars if limits.loses(s) or (_is_bound(operation) and limits.rounds_to_one(s)))
    return next(lost, None)


def _is_bound(operation: Operation) -> bool:
    """Whether its constants bound the argument; others are added to it."""
    return "clamp" in evidence.base(operation) or evidence.base(operation) == "logit"


def _format(dtype: str) -> str:
    """What the format can hold."""
    limits = limits_of(dtype)
    if limits is None:
        return dtype
    below_one = 1.0 - limits.eps / 2
    return f"{dtype}: smallest number {number(limits.smallest)}, next below 1 is {below_one:.6g}"
