"""A standard deviation or variance was taken of a single element.

What you see:
    A NaN loss in a batch of one sample, in the last batch of an epoch, or for a group of one; torch warns "degrees
    of freedom is <= 0", once.
Why:
    std and var divide by n - 1 (correction=1), so one element is 0/0. In general n must exceed the correction; else
    the result is NaN, or inf where the elements differ.
Bad:
    advantage = (reward - reward.mean()) / (reward.std() + 1e-8)        # a group of one reward
Good:
    advantage = (reward - reward.mean()) / (reward.std(correction=0) + 1e-8)       # one element: 0
Not this:
    A spread over no element is empty_reduction; a division by a spread that is 0 is constant_feature; the
    gradient of a root of a variance that is 0 is root_gradient_at_zero.
Source:
    pytorch#29372, PR#109824 (the warning).
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.diagnose import evidence, words
from evenkeel.diagnose.limits import limits_of

CODE = "EK233"
FAMILY: Family = "reduction"

_SPREADS = frozenset({"var", "std", "var_mean", "std_mean"})


def judge(case: Case) -> Cause | None:
    """A variance or standard deviation that is not finite although its input is small enough, in forward."""
    origin = evidence.born_forward(case, _SPREADS)
    if origin is None or not _lacks_elements(origin.operation):
        return None
    operation = origin.operation
    each, groups = _elements_each(operation), operation.outputs[0].num_nonfinite
    which = f" in each of {groups:,} groups" if groups > 1 else ""
    why = "it divides by 1 - 1" if each == 1 else "that is no more than its correction, and it divides by 0"
    return Cause(
        name="single_element_spread",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(operation)} was taken over {words.plural(each, 'element')}{which}"
        f"{words.cite(operation)}: {why}.",
        evidence=tuple(words.tensor(stats) for stats in (*operation.inputs, *operation.outputs)),
        confidence=0.95,
        advice=(
            "Use correction=0, which gives 0 for one element, or leave groups of one out of the loss and count them; "
            "if it is the last, smaller batch of an epoch, drop_last=True."
        ),
    )


def _elements_each(operation: Operation) -> int:
    """How many elements each result was computed from."""
    return operation.inputs[0].numel // max(operation.outputs[0].numel, 1)


def _lacks_elements(operation: Operation) -> bool:
    """Whether all groups fail and too few elements are the only reason left: of more than one, no square overflowed."""
    if not operation.inputs or not operation.outputs or not evidence.is_finite(operation):
        return False
    result, each, limits = operation.outputs[0], _elements_each(operation), limits_of(evidence.dtype_of(operation))
    all_bad = result.num_nonfinite == result.numel > 0
    fits = limits is not None and (2.0 * operation.inputs[0].magnitude) ** 2 < limits.largest
    return all_bad and (each == 1 or (each > 1 and fits))
