"""Something was divided by a number so small that the quotient overflows.

What you see:
    inf out of a division, a reciprocal or a negative power although the denominator is not 0; or a finite value
    and an infinite gradient.
Why:
    1/x overflows below 2.9e-39 in float32 and below 1.5e-5 in float16, and its slope 1/x² already below 5.4e-20 and
    3.9e-3. A sum of probabilities, a squared length or an epsilon chosen for float32 gets there.
Bad:
    weight = 1 / (x.half() + 1e-6)                      # 1e6 does not exist in float16
Good:
    weight = 1 / (x.float() + 1e-6)                     # or an eps on the scale of x: at least 4e-3 in float16
Not this:
    A denominator of exactly 0 is division_by_zero; a large numerator is product_overflow or half_overflow; an
    epsilon that rounds to 0 is half_underflow. The slope of a logarithm near 0 is log_of_nonpositive.
Source:
    The neighbour of pyg PR#2106 (1/(x + 1e-15) in float16, where the constant is 0); pytorch#184575 (slope 1/eps).
"""

from __future__ import annotations

import math

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, makers, words
from evenkeel.diagnose.limits import FloatLimits, limits_of

CODE = "EK228"
FAMILY: Family = "range"

_NAMES = evidence.DIVISIONS | evidence.POWERS


def judge(case: Case) -> Cause | None:
    """An overflowing quotient whose denominator lies farther from 1 than its numerator, forward or in its slope."""
    origin = evidence.born(case)
    if origin is None or evidence.base(origin.operation) not in _NAMES or evidence.overflow(origin) is None:
        return None
    operation, limits = origin.operation, limits_of(evidence.dtype_of(origin.operation))
    below = _slope(operation, limits) if _in_slope(origin) else _value(origin)
    if below is None or limits is None:
        return None
    stats = evidence.denominator(operation)
    source = makers.made_argument(case, operation, stats) if stats is not None else None
    made = f", made by {evidence.base(source)}{words.cite(source, unless=operation)}," if source is not None else ""
    what = "the slope of the quotient overflows" if _in_slope(origin) else "the quotient overflows"
    return Cause(
        name="tiny_denominator",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(operation)} divided by {number(below)}{words.at(origin)}{words.cite(operation)}{made} "
        f"and {what} {evidence.dtype_of(operation)}, whose largest number is {number(limits.largest)}.",
        evidence=tuple(words.tensor(s) for s in operation.inputs),
        confidence=0.65 if _in_slope(origin) else 0.88,
        advice=(
            "Bound the denominator from below on the scale of the data, d.clamp_min(eps) or d + eps, with an eps whose "
            f"square can be inverted in this dtype (above {number(1.0 / math.sqrt(limits.largest))}), or keep the "
            "quotient as a difference of logarithms."
        ),
    )


def _in_slope(origin: Origin) -> bool:
    """Whether forward is finite and only the derivative overflowed."""
    return evidence.in_backward(origin) and not evidence.absorbed(origin)


def _value(origin: Origin) -> float | None:
    """The first denominator that explains its infinite quotient better than the numerator does."""
    operation = origin.operation
    stats = evidence.denominator(operation)
    numbers = [abs(scalar) for scalar in operation.scalars]
    if evidence.base(operation) == "div" and stats is None:
        above = (operation.inputs[0].magnitude,) if operation.inputs else ()
        return next((n for n in numbers if above and 0.0 < n < 1.0 and above[0] * n < 1.0), None)
    if stats is None or (evidence.base(operation) == "pow" and min(evidence.exponents(origin), default=0.0) >= 0.0):
        return None
    lows = evidence.operands(origin, stats.name) if origin.derivative is None else ()
    tops = evidence.operands(origin, "self") if evidence.base(operation) == "div" else (1.0,) * len(lows)
    return next(
        (low for low, top in zip(lows, tops, strict=True) if 0.0 < abs(low) < 1.0 and abs(low * top) < 1.0), None
    )


def _slope(operation: Operation, limits: FloatLimits | None) -> float | None:
    """A smallest denominator whose square cannot be inverted; None when the range spans 0 and hides it."""
    stats = evidence.denominator(operation)
    if stats is None or limits is None or stats.min is None or stats.max is None:
        return None
    small = stats.min if stats.min > 0.0 else -stats.max
    return small if 0.0 < small < 1.0 / math.sqrt(limits.largest) else None
