"""The slope of an inverse function is infinite at the edge of its domain.

What you see:
    A finite loss and infinite gradients, which become NaN one operation further back.
Why:
    acos and asin at -1 and 1 and acosh at 1 have finite values and infinite slopes: two equal points, two
    parallel vectors.
Bad:
    distance = torch.acos((x * y).sum(-1))
Good:
    distance = 2 * torch.atan2((x - y).norm(dim=-1), (x + y).norm(dim=-1))
Not this:
    A value outside the domain is NaN already in forward: outside_domain. A clamp to the closed interval
    keeps the infinite slope.
Source:
    geoopt PR#79; geoopt's Poincaré distance.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, words

CODE = "EK213"
FAMILY: Family = "gradient_singularity"

_EDGES = {"acos": (-1.0, 1.0), "asin": (-1.0, 1.0), "acosh": (1.0,), "atanh": (-1.0, 1.0)}
_FORMS = {
    "acos": "2*atan2(|x - y|, |x + y|) for the angle between unit vectors",
    "asin": "atan2(s, c) with both sine and cosine",
    "acosh": "2*asinh(sqrt(u)) for acosh(1 + 2u), with |x - y| taken as a norm",
    "atanh": "the number before tanh, kept from where it was sampled",
}


def judge(case: Case) -> Cause | None:
    """The derivative of an inverse function with an argument exactly on the edge."""
    origin = evidence.born_backward(case, _EDGES)
    if origin is None or not origin.operation.inputs:
        return None
    name, stats = evidence.base(origin.operation), origin.operation.inputs[0]
    reached = [edge for edge in _EDGES[name] if edge in {stats.min, stats.max}]
    if not reached:
        return None
    return Cause(
        name="inverse_function_edge",
        code=CODE,
        family=FAMILY,
        text=f"{name} received exactly {number(reached[-1])}, the edge of its domain, where its slope "
        f"is infinite{words.at(origin)}{words.cite(origin.operation)}.",
        evidence=(words.tensor(stats),),
        confidence=0.9,
        advice=f"Use a form without the edge: {_FORMS[name]}. If you bound the argument instead, stay "
        "strictly inside by more than the dtype's eps.",
    )
