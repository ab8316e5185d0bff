"""A feature that never varies was divided by its spread.

What you see:
    NaN out of a min-max scaling or a standardisation, in one column.
Why:
    A feature that has the same value throughout has max - min = 0 and a standard deviation of 0, and 0/0 is
    NaN.
Bad:
    scaled = (x - x.min()) / (x.max() - x.min())
Good:
    spread = x.max() - x.min()
    scaled = (x - x.min()) / torch.where(spread > 0, spread, 1.0)     # a constant feature becomes 0
Not this:
    A denominator that counts elements is empty_reduction. An epsilon in the denominator hides the feature
    that carries no information.
Source:
    deepreflect#11; ml5-next-gen#204.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.diagnose import evidence, words

CODE = "EK232"
FAMILY: Family = "reduction"

_HIGHEST = frozenset({"max", "amax", "aminmax"})
_LOWEST = frozenset({"min", "amin", "aminmax"})
_SPREADS = frozenset({"std", "var", "std_mean", "var_mean"})


def judge(case: Case) -> Cause | None:
    """A division by a range or a standard deviation that is 0, in forward."""
    origin = evidence.born(case)
    if origin is None or not evidence.divides_by_zero(origin):
        return None
    below = evidence.denominator(origin.operation)
    source = evidence.maker(case, below) if below is not None else None
    kind = _spread(case, source) if source is not None else None
    if below is None or source is None or kind is None:
        return None
    return Cause(
        name="constant_feature",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(origin.operation)} divided by the {kind} of a feature that is constant: the "
        f"{kind} is 0{_how_many(below)}{words.at(origin)}{words.cite(origin.operation)}.",
        evidence=(*(words.tensor(stats) for stats in source.inputs), words.tensor(below)),
        confidence=0.92,
        advice="Leave constant features out, or divide by torch.where(spread > 0, spread, 1), which maps "
        "them to 0. Check first whether the feature should have varied.",
    )


def _how_many(below: TensorStats) -> str:
    """In how many features, when there is more than one."""
    return f" in {evidence.num_zeros(below):,} of {below.numel:,} features" if below.numel > 1 else ""


def _spread(case: Case, source: Operation) -> str | None:
    """Whether the denominator is a range or a standard deviation."""
    name = evidence.base(source)
    if name in _SPREADS or (name == "sqrt" and evidence.upstream(case, _SPREADS) is not None):
        return "standard deviation"
    ends = evidence.upstream(case, _HIGHEST) is not None and evidence.upstream(case, _LOWEST) is not None
    return "range" if name == "sub" and ends else None
