"""An inverse function received a number outside its domain.

What you see:
    NaN in the forward pass, out of acos, asin, acosh, atanh, logit, erfinv or ndtri.
Why:
    A cosine computed from two normalised vectors exceeds 1 by a rounding error; an argument that is at
    least 1 on paper falls below.
Bad:
    angle = torch.acos((a * b).sum(-1))
Good:
    angle = 2 * torch.atan2((a - b).norm(dim=-1), (a + b).norm(dim=-1))
Not this:
    A finite value whose gradient is infinite is inverse_function_edge; an edge at which the function is infinite
    is infinite_at_bound, or saturated_inverse where tanh rounded to it. A clamp to [-1, 1] mends the value and
    leaves an infinite gradient.
Source:
    geoopt PR#79 and geomstats PR#273, for the edge next to it.
"""

from __future__ import annotations

import math

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, words

CODE = "EK204"
FAMILY: Family = "domain"

# name: lowest and highest argument, and whether the edges themselves belong to the domain
_DOMAINS = {
    "acos": (-1.0, 1.0, True),
    "asin": (-1.0, 1.0, True),
    "acosh": (1.0, math.inf, True),
    "atanh": (-1.0, 1.0, False),
    "erfinv": (-1.0, 1.0, False),
    "special_erfinv": (-1.0, 1.0, False),
    "logit": (0.0, 1.0, False),
    "special_ndtri": (0.0, 1.0, False),
}


def judge(case: Case) -> Cause | None:
    """An argument outside the domain, in forward."""
    origin = evidence.born_forward(case, _DOMAINS)
    if origin is None or not origin.operation.inputs:
        return None
    stats = origin.operation.inputs[0]
    name = evidence.base(origin.operation)
    low, high, closed = _DOMAINS[name]
    values = evidence.operands(origin, stats.name) or tuple(v for v in (stats.min, stats.max) if v is not None)
    outside = [v for v in values if v < low or v > high]
    if not outside:
        return None
    return Cause(
        name="outside_domain",
        code=CODE,
        family=FAMILY,
        text=f"{name} received "
        f"{_excess(outside[0], low, high)}{words.at(origin)}{words.cite(origin.operation)}; its domain is "
        f"{_interval(low, high, closed=closed)}.",
        evidence=(words.tensor(stats),),
        confidence=0.9,
        advice=(
            "Take a form that has no edge there: 2*atan2(|a - b|, |a + b|) for the angle between unit "
            "vectors, 2*asinh(sqrt(u)) for acosh(1 + 2u), the number before tanh or sigmoid for atanh and "
            "logit."
        ),
    )


def _excess(value: float, low: float, high: float) -> str:
    """The argument, told by how far it lies outside when that is little."""
    edge = high if value > high else low
    side = "above" if value > edge else "below"
    return f"{number(value)} ({number(abs(value - edge))} {side} {number(edge)})"


def _interval(low: float, high: float, *, closed: bool) -> str:
    """`[-1, 1]`, `(0, 1)`, `[1, inf)`."""
    left, right = ("[", "]") if closed else ("(", ")")
    return f"{left}{number(low)}, {number(high)}{')' if high == math.inf else right}"
