"""A mean, a variance or a ratio was taken over nothing.

What you see:
    A NaN loss in a batch that looks like any other; often the gradients are finite, so gradient checks miss
    it.
Why:
    The mean over no elements is 0/0: no positive in the batch, an empty mask, a count of 0.
Bad:
    loss = (error * mask).sum() / mask.sum()
Good:
    loss = (error * mask).sum() / mask.sum().clamp(min=1)        # no valid element, no contribution
Not this:
    Labels of which every one is ignored are all_targets_ignored, the spread of one element is
    single_element_spread. A denominator that is a length, a distance or a sum of probabilities is
    division_by_zero; a range of a constant is constant_feature.
Source:
    yolov9 PR#662; BMN#23; VoteNet#9; TFDeepSurv#15; pytorch-metric-learning#107.
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.diagnose import evidence, words

CODE = "EK231"
FAMILY: Family = "reduction"

_OVER_NOTHING = frozenset(
    {
        "mean",
        "nanmean",
        "median",
        "var",
        "std",
        "var_mean",
        "std_mean",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
    }
    | evidence.LABELLED
    | {"huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "soft_margin_loss", "kl_div"}
)
_SURE, _PROBABLE, _POSSIBLE = 0.95, 0.9, 0.8


def judge(case: Case) -> Cause | None:
    """A reduction over nothing or one thing, or a division by a count that is 0, in forward."""
    origin = evidence.born(case)
    if origin is None or evidence.in_backward(origin):
        return None
    found = _empty(origin.operation) or _count(case, origin)
    if found is None:
        return None
    what, confidence = found
    return Cause(
        name="empty_reduction",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(origin.operation)} {what}{words.cite(origin.operation)}.",
        evidence=tuple(words.tensor(stats) for stats in (*origin.operation.inputs, *origin.operation.outputs)),
        confidence=confidence,
        advice=(
            "Divide the sum by the count clamped to at least 1, so that nothing contributes 0: "
            "(error * mask).sum() / mask.sum().clamp(min=1)."
        ),
    )


def _empty(operation: Operation) -> tuple[str, float] | None:
    """A reduction with nothing to reduce. Tensors without elements may be missing among the inputs."""
    name = evidence.base(operation)
    if not any(stats.num_nan for stats in operation.outputs) or not evidence.is_finite(operation):
        return None
    if name in _OVER_NOTHING and all(stats.numel == 0 for stats in operation.inputs if stats.name != "weight"):
        return ("was taken over no elements: 0/0", _SURE)
    return None


def _count(case: Case, origin: Origin) -> tuple[str, float] | None:
    """A division by a count or a sum that is 0."""
    operation = origin.operation
    if evidence.base(operation) != "div" or not evidence.divides_by_zero(origin):
        return None
    if evidence.divides_by_integers(operation):
        return ("divided by a count of 0", _SURE)
    below = evidence.denominator(operation)
    source = evidence.maker(case, below) if below is not None else None
    if below is None or source is None or evidence.base(source) not in evidence.SUMS:
        return None
    return (
        f"divided by 0, the {_of_what(source)}{words.cite(source, unless=operation)}",
        _sum_confidence(case, source, below),
    )


def _of_what(source: Operation) -> str:
    """The sum and its number of elements; bools and integers may be missing among the inputs."""
    if not source.inputs:
        return f"{evidence.base(source)} of a mask or of a count"
    return f"{evidence.base(source)} of {words.plural(source.inputs[0].numel, 'element')}, all 0 or none there"


def _sum_confidence(case: Case, source: Operation, below: TensorStats) -> float:
    """A sum of integers or bools counts; x / x.sum() shares a total out, and a sum of computed floats is a size."""
    if not source.inputs or "float" not in source.inputs[0].dtype:
        return _SURE
    above = evidence.argument(case.origin.operation, "self") if case.origin is not None else None
    shares_out = above is not None and above.numel > below.numel
    return _POSSIBLE if shares_out or evidence.is_computed(case, source) else _PROBABLE
