"""Every target of a batch is ignored, so the mean of the loss is 0/0.

What you see:
    A NaN loss whose gradients are 0 (NaN with class weights) in a batch with only padding: a conversation cut off
    before its answer, an image without a labelled pixel, a class whose weight is 0.
Why:
    cross_entropy and nll_loss divide by the number (or the summed weight) of the targets that count. Where none
    does, that is 0/0.
Bad:
    loss = F.cross_entropy(logits, labels)                               # all labels are -100
Good:
    count = (labels != -100).sum().clamp(min=1)
    loss = F.cross_entropy(logits, labels, reduction="sum") / count      # no target, no contribution
Not this:
    A batch without any row is empty_reduction, and so is a mask that is 0 throughout. Skipping the step on one rank
    alone leaves the others waiting: the sum over the clamped count takes part with 0.
Source:
    pytorch#70348, #116349, #75181; cosmos-rl#155.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, words

CODE = "EK234"
FAMILY: Family = "reduction"


def judge(case: Case) -> Cause | None:
    """A mean of nll_loss that is NaN although its log-probabilities are finite, in forward."""
    origin = evidence.born_forward(case, evidence.LABELLED)
    if origin is None or not evidence.is_finite(origin.operation):
        return None
    operation = origin.operation
    target = evidence.argument(operation, "target")
    is_empty = target is not None and target.numel == 0
    if is_empty or not any(stats.num_nan for stats in operation.outputs):
        return None
    return Cause(
        name="all_targets_ignored",
        code=CODE,
        family=FAMILY,
        text=f"{operation.api or evidence.base(operation)} had no target to average over{words.cite(operation)}: "
        f"{_why(operation, target)}, and the mean is 0/0.",
        evidence=tuple(words.tensor(stats) for stats in (*operation.inputs, *operation.outputs)),
        confidence=0.95,
        advice=(
            "Divide the sum by the number of targets that count, at least 1: F.cross_entropy(..., reduction='sum') / "
            "(labels != ignore_index).sum().clamp(min=1). Count such batches: many of them mean that the data is cut "
            "off too early."
        ),
    )


def _why(operation: Operation, target: TensorStats | None) -> str:
    """Which targets there are, as far as the trace tells."""
    all_of_them = f"all {target.numel:,} targets" if target is not None and target.numel > 1 else "the only target"
    if evidence.argument(operation, "weight") is not None:
        return f"{all_of_them} are ignored or of a class whose weight is 0"
    if target is None or target.min is None or target.min != target.max:
        return "every target is ignored"
    verb = "are" if target.numel > 1 else "is"
    return f"{all_of_them} {verb} {number(target.min)}, which is ignored"
