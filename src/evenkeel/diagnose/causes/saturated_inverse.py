"""A saturating function was undone after it had rounded to its bound.

What you see:
    inf out of atanh(tanh(u)), logit(sigmoid(z)) or log(1 - tanh(u)²).
Why:
    tanh(u) is exactly 1 in float32 from u = 9.01 on (4.5 in float16): what was lost in rounding cannot be
    recovered by the inverse.
Bad:
    u = torch.atanh(action); log_det = torch.log(1 - torch.tanh(u) ** 2)
Good:
    log_det = 2 * (math.log(2) - u - F.softplus(-2 * u))       # u kept from sampling
Not this:
    log(1 - sigmoid(z)) in a likelihood is log_of_nonpositive: the loss belongs on the logits. An argument
    that comes from the data, not from tanh, is outside_domain.
Source:
    ray#14878.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, words

CODE = "EK226"
FAMILY: Family = "range"

_INVERSES = {"atanh": "tanh", "logit": "sigmoid", "erfinv": "erf", "special_erfinv": "erf"}


def judge(case: Case) -> Cause | None:
    """An inverse, or a log of one minus the square, fed by a function that rounded to its bound."""
    origin = evidence.born(case)
    if origin is None:
        return None
    name = evidence.base(origin.operation)
    wanted = "tanh" if name in evidence.LOGARITHMS else _INVERSES.get(name)
    source = evidence.upstream(case, {wanted}) if wanted is not None else None
    if source is None or not _at_bound(source):
        return None
    saturated, u = evidence.base(source), source.inputs[0]
    return Cause(
        name="saturated_inverse",
        code=CODE,
        family=FAMILY,
        text=f"{saturated} rounded to its bound for inputs of up to "
        f"{number(u.magnitude)}{words.cite(source, unless=origin.operation)}, and {name} of that is "
        f"infinite{words.at(origin)}{words.cite(origin.operation)}.",
        evidence=(words.tensor(u), *(words.tensor(stats) for stats in origin.operation.inputs)),
        confidence=0.93,
        advice=(
            f"Keep the number before {saturated} and work with it: u itself instead of the inverse, and "
            "2*(log 2 - u - softplus(-2u)) for log(1 - tanh(u)**2)."
        ),
    )


def _at_bound(source: Operation) -> bool:
    """Whether the result holds exactly 1, -1 or, for sigmoid, 0."""
    if not source.outputs or not source.inputs:
        return False
    bounds = {0.0, 1.0} if evidence.base(source) == "sigmoid" else {-1.0, 1.0}
    return bool(bounds & {source.outputs[0].min, source.outputs[0].max})
