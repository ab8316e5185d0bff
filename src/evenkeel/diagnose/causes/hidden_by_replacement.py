"""A bad value was replaced by a finite one, and the failure shows somewhere else.

What you see:
    A finite loss and gradients that are not, or an overflow of 3.4e38: the code replaces what is not finite
    (nan_to_num) between the line where it is born and the line where it becomes visible.
Why:
    The replacement mends the value, not what made it. Its gradient is 0 there, and 0 times the infinite slope of the
    line before is NaN; an infinity becomes the largest number of the dtype, which the next product overflows.
Bad:
    y = torch.nan_to_num(torch.sqrt(x))
Good:
    y = torch.sqrt(x.clamp_min(1e-12))            # the line that made the bad value is the line to mend
Not this:
    What made the bad value in the first place is told by the cause of that operation.
Source:
    RadioDiff ddm_const_sde.py:474-476, 486-510 (nan_to_num on prediction, target and loss); trl#6702.
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import nonfinite, number
from evenkeel.diagnose import evidence, lineage, words
from evenkeel.diagnose.limits import limits_of

CODE = "EK291"
FAMILY: Family = "masking"

_NEARLY = 0.99


def judge(case: Case) -> Cause | None:
    """A replacement that fed the failing operation, or one behind which a bad forward value was hidden."""
    origin = evidence.born(case)
    if origin is None or not case.replaced:
        return None
    before = next((o for o in case.replaced if _feeds(case, origin, o)), None)
    if before is not None:
        return _cause(case, origin, before, confidence=0.94, made=lineage.born_before(case, before))
    hidden = next((o for o in case.replaced if o.index > origin.operation.index), None)
    if hidden is None or case.symptom.kind == "loss":
        return None
    return _cause(case, origin, hidden, confidence=0.55, made=origin.operation)


def _cause(case: Case, origin: Origin, replacement: Operation, *, confidence: float, made: Operation | None) -> Cause:
    taken = next(stats for stats in replacement.inputs if stats.num_nonfinite)
    given = number(replacement.outputs[0].magnitude) if _is_largest(replacement) else "numbers"
    name, source = evidence.base(replacement), "came in from outside"
    if made is not None:
        source = f"was born in {evidence.base(made)}{words.cite(made)}"
    if made is origin.operation:
        what = f"so the loss stayed finite and the {case.symptom.kind} did not"
    else:
        failed = f"{evidence.base(origin.operation)}{words.cite(origin.operation)}"
        what = f"put {given} in their place, and {failed} failed on that"
    return Cause(
        name="hidden_by_replacement",
        code=CODE,
        family=FAMILY,
        text=f"{name}{words.cite(replacement)} took {nonfinite(taken)} away, {what}; the bad value {source}.",
        evidence=(words.tensor(taken), *(words.tensor(stats) for stats in replacement.outputs)),
        confidence=confidence,
        advice=(
            "Take the replacement away and mend the line that makes the bad value, inside its argument, so that value "
            "and gradient are both finite. If it stands for missing data, choose what is valid before any arithmetic "
            "and average over that."
        ),
    )


def _is_largest(replacement: Operation) -> bool:
    """Whether an infinity became the largest number of the dtype."""
    limits = limits_of(evidence.dtype_of(replacement))
    return limits is not None and any(s.magnitude >= _NEARLY * limits.largest for s in replacement.outputs)


def _feeds(case: Case, origin: Origin, replacement: Operation) -> bool:
    """Whether the failing operation failed on what was put in: the dtype's largest number, or the 0 of a NaN."""
    if replacement.index not in {operation.index for operation in case.upstream}:
        return False
    if _is_largest(replacement):
        return evidence.overflow(origin) is not None
    taken = sum(stats.num_nonfinite for stats in replacement.inputs)
    made = sum(stats.num_nonfinite for stats in evidence.acting(origin).outputs)
    put_in = {0.0, *replacement.scalars}
    at_these = bool(origin.elements) and all(put_in & {*element.operands} for element in origin.elements)
    return replacement.index in origin.operation.made_by and made <= taken and at_these
