"""The difference of two nearly equal numbers was left with nothing but rounding error.

What you see:
    NaN out of a root of a variance in forward, or an infinite gradient where the difference came out as
    exactly 0.
Why:
    mean(x²) - mean(x)² subtracts two numbers that agree in all digits that the dtype has. What is left may
    be 0 or negative although a variance is neither.
Bad:
    std = torch.sqrt((d ** 2).mean() - d.mean() ** 2)
Good:
    std = d.std(correction=0)                        # subtract the mean first, then square
Not this:
    A difference that is exactly 0 because all data are equal is root_gradient_at_zero.
Source:
    GuHuangAI/ADM-Public eval_depth.py:400 (SILog with lambda = 1).
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.core.words import extent, number
from evenkeel.diagnose import evidence, words
from evenkeel.diagnose.limits import limits_of

CODE = "EK227"
FAMILY: Family = "range"

_SINGULAR = frozenset({"sqrt", "rsqrt", "log", "pow", "div", "reciprocal"})
_ROUNDINGS = 64  # a sum of many terms is off by this many units at most, as a rule


def judge(case: Case) -> Cause | None:
    """A singular operation fed by a difference, as in a variance, that is tiny against both its terms."""
    origin = evidence.born(case)
    if origin is None or evidence.base(origin.operation) not in _SINGULAR:
        return None
    received = evidence.denominator(origin.operation) or (origin.operation.inputs or (None,))[0]
    difference = evidence.maker(case, received) if received is not None else None
    if received is None or difference is None or not _cancels(difference, received) or not _is_variance(case):
        return None
    terms = " and ".join(extent(stats) for stats in difference.inputs)
    lowest = received.min if received.min is not None else 0.0
    name = evidence.base(origin.operation)
    return Cause(
        name="cancellation",
        code=CODE,
        family=FAMILY,
        text=f"{name} received {number(lowest)}, what is left of the difference of two nearly equal "
        f"numbers ({terms}){words.cite(difference, unless=origin.operation)}: rounding error alone.",
        evidence=(words.tensor(received), *(words.tensor(stats) for stats in difference.inputs)),
        confidence=0.92 if lowest < 0.0 else 0.6,
        advice="Compute the variance in two passes, d.var(correction=0) or ((d - d.mean()) ** 2).mean(); "
        "under a root use d.std(correction=0), whose slope at 0 is 0.",
    )


def _cancels(difference: Operation, result: TensorStats) -> bool:
    """Whether a subtraction lost all but rounding error at its smallest result."""
    limits = limits_of(result.dtype)
    if evidence.base(difference) not in {"sub", "rsub"} or limits is None or result.min is None:
        return False
    size = max((stats.magnitude for stats in difference.inputs), default=0.0)
    return size > 0.0 and abs(result.min) <= _ROUNDINGS * limits.eps * size


def _is_variance(case: Case) -> bool:
    """Whether means and squares went into it."""
    has_mean = evidence.upstream(case, {"mean", "sum"}) is not None
    return has_mean and evidence.upstream(case, {"pow", "square", "mul"}) is not None
