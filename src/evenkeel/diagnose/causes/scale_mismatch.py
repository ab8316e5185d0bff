"""Two inputs of very different scale met.

What you see:
    An overflow or a saturated probability in a model one of whose inputs nobody has scaled.
Why:
    A raw count, an age or a frequency in hertz stands beside features near 1. The large one decides every
    pre-activation, and exponentials and squares of it leave the range.
Bad:
    x = torch.cat([embedding, raw_counts], -1)
Good:
    x = torch.cat([embedding, torch.log1p(raw_counts)], -1)       # or standardise them
Not this:
    It explains why an overflow or a log(0) came about and does not replace that finding, so it ranks below
    it.
Source:
    TensorFlow-Program-Bugs IPS-13 (Stack Overflow 45002504).
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Leaf, Operation
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, history, masks, words

CODE = "EK242"
FAMILY: Family = "data"

_RATIO = 1e4
_ORDINARY = 20.0


def judge(case: Case) -> Cause | None:
    """An overflow or a saturated log, with operands or batch tensors of scales that do not match."""
    origin = evidence.born(case)
    if origin is None or not _suffers(origin):
        return None
    found = _in_batch(case) or _in_operands(evidence.acting(origin))
    if found is None:
        return None
    return Cause(
        name="scale_mismatch",
        code=CODE,
        family=FAMILY,
        text=f"{found}; {evidence.base(origin.operation)} failed{words.cite(origin.operation)}.",
        evidence=tuple(words.tensor(entering.stats) for entering in case.leaves if entering.kind == "batch"),
        confidence=0.45,
        advice="Bring the large input to a scale near 1: standardise it with the training set's mean and "
        "deviation, or take log1p of counts.",
    )


def _suffers(origin: Origin) -> bool:
    """Whether the failure is of the kind that large inputs bring about."""
    operation = evidence.overflow(origin)
    by_size = operation is not None and masks.overflowed_mask(operation) is None
    return by_size or evidence.base(origin.operation) in evidence.LOGARITHMS


def _in_batch(case: Case) -> str | None:
    """One tensor of the batch is large while another is ordinary."""
    high = history.largest(case, "batch")
    if high is None or high.stats.magnitude < history.LARGE_BATCH:
        return None
    ordinary = [e for e in case.leaves if e.kind == "batch" and 0.0 < e.stats.magnitude <= _ORDINARY]
    return f"{_reach(high)} while {_reach(ordinary[0])}" if ordinary else None


def _reach(entering: Leaf) -> str:
    return f"{words.leaf(entering)} reaches {number(entering.stats.magnitude)}"


def _in_operands(operation: Operation) -> str | None:
    """Two arguments of the failing operation differ by four orders of magnitude."""
    sizes = sorted((s.magnitude, s.name) for s in operation.inputs if s.magnitude > 0.0)
    if len(sizes) < 2 or sizes[-1][0] < history.LARGE_BATCH or sizes[-1][0] < _RATIO * sizes[0][0]:  # noqa: PLR2004 - two
        return None
    (low, low_name), (high, high_name) = sizes[0], sizes[-1]
    return (
        f"{evidence.base(operation)} joins {high_name} of up to {number(high)} with {low_name} of up to {number(low)}"
    )
