"""A gamma function was taken at one of its poles: 0 or a negative integer.

What you see:
    An infinite or NaN loss, or NaN gradients, out of lgamma, digamma or polygamma, often inside the likelihood
    of a gamma, beta, Dirichlet or negative binomial distribution.
Why:
    A count, concentration or dispersion that should be positive is 0 or a negative integer: a sample without
    any count, a softplus or exp that underflowed, x! written as lgamma(x).
Bad:
    log_factorial = torch.lgamma(count)                    # count = 0
Good:
    log_factorial = torch.lgamma(count + 1)                # x! is gamma(x + 1)
    theta = 1e-4 + F.softplus(raw)                         # a parameter bounded away from the pole
Not this:
    A difference of two large lgamma that has lost its digits stays finite. Replacing the infinite value
    afterwards, with where or a mask, leaves the gradient NaN.
Source:
    DLMF 5.2(i); OmicsML/dance#166 (total counts of 0); cellarium-ml PR#171 (a dispersion of 0).
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, makers, words
from evenkeel.diagnose.limits import limits_of

CODE = "EK207"
FAMILY: Family = "domain"


def judge(case: Case) -> Cause | None:
    """lgamma, digamma or polygamma, or their derivative, at 0 or a negative integer."""
    origin = evidence.born(case)
    if origin is None or evidence.base(origin.operation) not in evidence.GAMMAS:
        return None
    received = _received(origin)
    if received is None:
        return None
    operation = origin.operation
    source = makers.made_argument(case, operation, operation.inputs[0])
    made = f", made by {evidence.base(source)}{words.cite(source, unless=operation)}" if source is not None else ""
    return Cause(
        name="gamma_pole",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(operation)} received {received}{words.at(origin)}{words.cite(operation)}{made}"
        f"{_only_the_slope(origin)}.",
        evidence=tuple(words.tensor(stats) for stats in operation.inputs),
        confidence=0.9,
        advice=(
            "Keep the argument positive before this line: lgamma(x + 1) for x!, a concentration or dispersion as "
            "softplus(a) plus a small constant. Where no value is wanted, give the function torch.where(x > 0, x, 1) "
            "and choose the result with the same condition."
        ),
    )


def _received(origin: Origin) -> str | None:
    """The first bad argument at a pole, or closer to 0 than the slope can stand; None when there is none."""
    operation = evidence.acting(origin)
    stats = evidence.argument(operation, "self")
    if stats is None:
        return None
    values = evidence.operands(origin, "self") or tuple(v for v in (stats.min, stats.max) if v is not None)
    pole = next((v for v in values if v <= 0.0 and v.is_integer()), None)
    if pole is not None:
        return f"exactly {number(pole)}, a pole,"
    limits = limits_of(stats.dtype)
    near = next((v for v in values if limits is not None and abs(v) < limits.smallest_normal), None)
    return f"{number(near)}, so close to its pole at 0 that the slope overflows," if near is not None else None


def _only_the_slope(origin: Origin) -> str:
    """What is seen of it when the loss did not use an infinity."""
    if not evidence.in_backward(origin):
        return ""
    value = "the infinite value" if evidence.absorbed(origin) else "it"
    return f": the loss does not show {value}, its gradient does"
