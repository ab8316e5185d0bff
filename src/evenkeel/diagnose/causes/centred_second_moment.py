"""A centred optimizer took the root of a variance of which only rounding error was left.

What you see:
    Loss and gradients are finite, and a parameter is NaN after a step of RMSprop(centered=True). It takes a
    gradient that has hardly changed for some time; noise in the gradient hides it.
Why:
    The optimizer keeps mean(g²) and mean(g), and divides by the root of mean(g²) - mean(g)². For a steady gradient
    the two agree in all digits that the dtype has: the difference is 0, or below 0, where the root is NaN. The eps
    is added after the root and mends neither.
Bad:
    optimizer = torch.optim.RMSprop(model.parameters(), centered=True)
Good:
    optimizer = torch.optim.RMSprop(model.parameters(), centered=False)
Not this:
    The same difference in a loss is cancellation; another division by 0 in an update is optimizer_update.
Source:
    GRIST ID_15 uses it; seen on torch 2.13 with a constant gradient.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.core.words import extent, number
from evenkeel.diagnose import evidence, lineage, words
from evenkeel.diagnose.limits import limits_of

CODE = "EK254"
FAMILY: Family = "dynamics"

_ROOTS = frozenset({"sqrt", "rsqrt", "pow"})
_SQUARES = frozenset({"mul", "pow", "square"})
_DIVISORS = {"addcdiv": "tensor2", "div": "other", "reciprocal": "self"}
_ROUNDINGS = 64  # a running mean is off by this many units at most, as a rule


def judge(case: Case) -> Cause | None:
    """A root, or a division by a root, of a difference of mean squares that cancelled, inside the update."""
    origin = evidence.born(case)
    if origin is None or origin.operation.phase != "optimizer":
        return None
    found = _variance(case, origin.operation)
    if found is None:
        return None
    difference, left = found
    name = evidence.base(origin.operation)
    lowest = left.min if left.min is not None else 0.0
    first = difference.inputs[0]
    return Cause(
        name="centred_second_moment",
        code=CODE,
        family=FAMILY,
        text=f"The variance of the gradient, mean(g²) - mean(g)², came out as {number(lowest)} where mean(g²) reaches "
        f"{number(first.magnitude)}: rounding error alone. {name} of it is not "
        f"finite{words.at(origin)}{words.cite(origin.operation)}, inside the optimizer's step.",
        evidence=(f"the difference spans {extent(left)}", *(words.tensor(stats) for stats in difference.inputs)),
        confidence=0.97,
        advice=(
            "Do not centre: RMSprop(..., centered=False) divides by the root of mean(g²), which cannot be negative, "
            "or use Adam. In an optimizer of your own keep the mean of (g - mean(g))² instead of the difference. A "
            "larger eps does not help, because it is added after the root."
        ),
    )


def _variance(case: Case, operation: Operation) -> tuple[Operation, TensorStats] | None:
    """The difference of mean squares that the operation took a root of, or divided by the root of, and its result."""
    if _is_root(operation):
        return _cancelled(case, operation)
    for position, below in lineage.arguments(operation, _DIVISORS.get(evidence.base(operation), "")):
        root = lineage.nearest(case, operation, position, _is_root) if evidence.num_zeros(below) else None
        if root is not None:
            return _cancelled(case, root)
    return None


def _is_root(operation: Operation) -> bool:
    return evidence.base(operation) in _ROOTS


def _cancelled(case: Case, root: Operation) -> tuple[Operation, TensorStats] | None:
    """A radicand made by subtracting a square, of which nothing but rounding error is left at its lowest."""
    for position, left in enumerate(root.inputs):
        difference, limits = lineage.maker(case, root, position), limits_of(left.dtype)
        if difference is None or limits is None or left.min is None or not _subtracts_a_square(case, difference):
            continue
        size = max((stats.magnitude for stats in difference.inputs), default=0.0)
        if size > 0.0 and abs(left.min) <= _ROUNDINGS * limits.eps * size:
            return difference, left
    return None


def _subtracts_a_square(case: Case, operation: Operation) -> bool:
    if evidence.base(operation) == "addcmul":  # torch: mean(g²) - 1 · mean(g) · mean(g)
        return any(scalar < 0.0 for scalar in operation.scalars)
    subtracted = lineage.maker(case, operation, 1) if evidence.base(operation) == "sub" else None
    return subtracted is not None and evidence.base(subtracted) in _SQUARES
