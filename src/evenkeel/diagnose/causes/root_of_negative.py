"""A root or a fractional power was taken of a negative number.

What you see:
    NaN in the forward pass, out of sqrt, rsqrt or a power such as x ** 0.5.
Why:
    A number that is never negative on paper came out below 0: a learned scale that an update pushed past 0,
    or a sum such as 1 + trace that rounding leaves one unit below.
Bad:
    q = torch.sqrt(1 + trace) / 2                  # trace = -1 minus one rounding error
Good:
    q = torch.sqrt(torch.where(trace > 0, 1 + trace, 1)) / 2   # and another formula where trace <= 0
    std = torch.exp(0.5 * log_variance)            # a learned scale: learn its logarithm
Not this:
    mean(x²) - mean(x)² below 0 is cancellation; a root of exactly 0 is root_gradient_at_zero. abs() before
    the root takes the NaN away and keeps the wrong number.
Source:
    kornia#1653; k-diffusion#111.
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Leaf
from evenkeel.core.stats import TensorStats
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, words
from evenkeel.diagnose.limits import limits_of

CODE = "EK203"
FAMILY: Family = "domain"

_NEARLY_ZERO = 1e3  # units of rounding, for numbers near 1


def judge(case: Case) -> Cause | None:
    """A negative radicand in forward."""
    origin = evidence.born_forward(case, {"sqrt", "rsqrt", "pow"})
    if origin is None or not origin.operation.inputs:
        return None
    operation = origin.operation
    radicand = operation.inputs[0]
    lowest = _lowest(origin, radicand)
    fractional = evidence.base(operation) != "pow" or not all(scalar.is_integer() for scalar in operation.scalars)
    if lowest is None or lowest >= 0.0 or not fractional:
        return None
    parameter = _parameter(case, radicand)
    learned = f", a learned value ({words.leaf(parameter)})" if parameter else ""
    return Cause(
        name="root_of_negative",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(operation)} received {number(lowest)}{learned}{words.at(origin)}"
        f"{words.cite(operation)}: a negative number has no real root.",
        evidence=(words.tensor(radicand),),
        confidence=0.95 if parameter else 0.9,
        advice=_advice(radicand, lowest, is_learned=parameter is not None),
    )


def _lowest(origin: Origin, radicand: TensorStats) -> float | None:
    """The lowest radicand among the bad elements, else of all."""
    return min(evidence.operands(origin, radicand.name), default=radicand.min)


def _parameter(case: Case, radicand: TensorStats) -> Leaf | None:
    """The parameter that the root was taken of directly."""
    ranges = (radicand.min, radicand.max)
    return next((e for e in case.leaves if e.kind == "parameter" and (e.stats.min, e.stats.max) == ranges), None)


def _advice(radicand: TensorStats, lowest: float, *, is_learned: bool) -> str:
    """A learned scale becomes a logarithm; a rounding error gets a safe branch; the rest gets a question."""
    if is_learned:
        return "Learn the logarithm of the scale and take exp(0.5 * log_scale): no update can push that below 0."
    limits = limits_of(radicand.dtype)
    if limits is not None and -lowest < _NEARLY_ZERO * limits.eps:
        return (
            "This is a rounding error of a number that should be 0. Use the branch of the formula that "
            "holds near 0, and give the root torch.where(x > 0, x, 1) where another branch is taken."
        )
    return "Find out why this is negative; if it is a variance, sum squares of differences so that it cannot be."
