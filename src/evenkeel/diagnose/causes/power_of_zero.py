"""Zero was raised to a negative power.

What you see:
    An infinite loss, or NaN from inf·0, out of rsqrt, x ** -0.5 or x ** -a.
Why:
    0 to any negative power is a division by 0: the degree of a node without edges, the squared length of a zero
    vector, the variance of a constant, the distance of a point to itself in r ** -6.
Bad:
    norm = degree.pow(-0.5); norm[norm == torch.inf] = 0        # forward is mended, the gradient is not
Good:
    has_edges = degree > 0
    norm = torch.where(has_edges, torch.where(has_edges, degree, 1).pow(-0.5), 0)
Not this:
    A division sign is division_by_zero; an epsilon that vanished in 16 bits is half_underflow; rsqrt of a
    variance that is 0 is constant_feature; a negative base is root_of_negative.
Source:
    IEEE 754-2019, 9.2.1 (pow(0, y < 0) is infinite); pytorch_geometric#61 (deg.pow(-0.5)); keras#23075.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, makers, words

CODE = "EK209"
FAMILY: Family = "domain"


def judge(case: Case) -> Cause | None:
    """A power below 0, or an inverse root, of exactly 0, in forward."""
    origin = evidence.born(case)
    if origin is None or evidence.base(origin.operation) not in evidence.POWERS or not evidence.divides_by_zero(origin):
        return None
    operation = origin.operation
    below = evidence.argument(operation, "self")
    source = makers.made_argument(case, operation, below) if below is not None else None
    made = f" The 0 was made by {evidence.base(source)}{words.cite(source, unless=operation)}." if source else ""
    zeros = (
        f"{words.plural(evidence.num_zeros(below), 'element')} of {below.numel:,} are 0" if below else "the base is 0"
    )
    exponents = evidence.exponents(origin)
    return Cause(
        name="power_of_zero",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(operation)} raised 0 to the power of {_power(operation, exponents)}{words.at(origin)}"
        f"{words.cite(operation)}, which is infinite.{made}",
        evidence=(zeros, *(words.tensor(stats) for stats in operation.inputs)),
        confidence=0.62 if operation.phase == "optimizer" or evidence.in_backward(origin) else 0.88,
        advice=(
            "Decide what the result shall be where the base is 0 and keep the 0 out of the power: "
            "torch.where(x > 0, torch.where(x > 0, x, 1) ** p, 0). Setting the infinity to 0 afterwards leaves the "
            "gradient NaN; for a squared length take the bound inside, rsqrt(s.clamp_min(eps**2))."
        ),
    )


def _power(operation: Operation, exponents: tuple[float, ...]) -> str:
    """The exponents at the bad elements."""
    if evidence.base(operation) == "rsqrt":
        return "-0.5"
    negative = [value for value in exponents if value < 0.0]
    return words.some(negative) if negative else number(min(exponents, default=-1.0))
