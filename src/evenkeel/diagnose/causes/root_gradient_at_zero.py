"""The slope of a root is infinite at 0.

What you see:
    A finite loss and infinite or NaN gradients.
Why:
    sqrt(x), x ** 0.5 and 1/sqrt(x) have an infinite slope at x = 0: a zero vector, a constant feature,
    silence, or an exp that underflowed. The next operation backwards multiplies the infinity by 0, which is
    NaN.
Bad:
    std = torch.sqrt(x.var()) + eps              # the epsilon stands outside, the slope stays infinite
Good:
    std = torch.sqrt(x.var() + eps ** 2)         # inside; or x.std(), whose slope at 0 is defined as 0
Not this:
    A gradient of exactly 0 arriving at the root is unselected_branch; a root of squared differences is
    distance_to_itself, of a gradient's squares gradient_penalty_at_zero; a radicand made by subtracting two
    nearly equal means is also cancellation.
Source:
    GRIST ID_35/36/39/43/49; pytorch#4320; keras#23075; asteroid#90; ADM-Public eval_depth.py:400.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import extent, number
from evenkeel.diagnose import evidence, words

CODE = "EK211"
FAMILY: Family = "gradient_singularity"


def judge(case: Case) -> Cause | None:
    """The derivative of a root, of an inverse root or of a fractional power at 0."""
    origin = evidence.born_backward(case, evidence.ROOTS)
    if origin is None or not evidence.is_root_of_zero(origin.operation):
        return None
    operation = origin.operation
    name, source = evidence.base(operation), _source(case, operation)
    slope = "is infinite there, and so is its slope" if evidence.absorbed(origin) else "has an infinite slope there"
    made = f" The 0 was made by {source}." if source else ""
    return Cause(
        name="root_gradient_at_zero",
        code=CODE,
        family=FAMILY,
        text=f"{name} received exactly 0{words.at(origin)}{words.cite(operation)} and {slope}: the loss "
        f"stays finite, the gradient does not.{made}",
        evidence=tuple(words.tensor(stats) for stats in operation.inputs),
        confidence=0.95 if name == "rsqrt" else 0.88,
        advice=_advice(case, name),
    )


def _source(case: Case, root: Operation) -> str:
    """What made the 0, when it says something about the remedy."""
    source = evidence.upstream(case, {"exp", "var", "sum", "norm"}, within=3)
    if source is None or not source.inputs:
        return ""
    name, received = evidence.base(source), source.inputs[0]
    how = {
        "exp": f"exp, which underflowed: its input goes down to {number(received.min or 0.0)}",
        "var": "var, whose input is constant",
    }.get(name, f"{name}, whose input is {extent(received)}")
    return how + words.cite(source, unless=root)


def _advice(case: Case, name: str) -> str:
    """The closed form where there is one, else the epsilon inside."""
    if evidence.upstream(case, {"exp"}, within=1):
        return "Write exp(0.5 * x) for sqrt(exp(x)): the same number, and its slope is finite everywhere."
    if evidence.upstream(case, {"var"}, within=1):
        return "Use x.std(), whose slope at a constant is 0, or put the epsilon inside: sqrt(var + eps**2)."
    if name == "rsqrt":
        return "Put the bound inside: rsqrt(s.clamp_min(eps**2)) has the same value as min(rsqrt(s), 1/eps)."
    return (
        "Put the epsilon inside the root, (x + eps).sqrt(), or take a norm, whose slope at 0 is 0. An "
        "epsilon added after the root mends the value and leaves the gradient infinite."
    )
