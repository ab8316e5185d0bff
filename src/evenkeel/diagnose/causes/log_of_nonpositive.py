"""A logarithm was taken of 0 or of a negative number.

What you see:
    An infinite or NaN loss, often suddenly, after the predictions have become very sure of themselves.
Why:
    A softmax or sigmoid rounds to exactly 0 or 1 when its inputs lie far enough apart (104 in float32, 17
    in float16), and log(0) is -inf. Large inputs of the network bring that about in the first steps. A
    negative number has no logarithm at all.
Bad:
    loss = -(target * torch.log(torch.softmax(logits, 1))).sum()
Good:
    loss = -(target * torch.log_softmax(logits, 1)).sum()   # or cross_entropy, BCEWithLogitsLoss
Not this:
    A log in the branch that a `where` did not take has a finite loss and a gradient of 0 arriving at it:
    see unselected_branch. A lower learning rate, or an epsilon inside the log, only moves the day.
Source:
    GRIST ID_38, ID_54, ID_15, ID_4, ID_13; TensorFlow-Program-Bugs IPS-14 (Stack Overflow 33641799).
"""

from __future__ import annotations

import math

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.core.words import extent, number
from evenkeel.diagnose import evidence, history, words
from evenkeel.diagnose.limits import limits_of

CODE = "EK201"
FAMILY: Family = "domain"


def judge(case: Case) -> Cause | None:
    """A logarithm with an argument at or below the edge of its domain."""
    origin = evidence.born(case)
    if origin is None or evidence.base(origin.operation) not in evidence.LOGARITHMS:
        return None
    received = _received(origin)
    if received is None:
        return None
    reason = _saturation(case, origin)
    batch = history.largest(case, "batch")
    is_large = reason != "" and batch is not None and batch.stats.magnitude >= history.LARGE_BATCH
    reach = f"; the inputs of the step reach {number(batch.stats.magnitude)} ({words.leaf(batch)})" if batch else ""
    place = words.cite(origin.operation)
    return Cause(
        name="log_of_nonpositive",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(origin.operation)} received {received}{words.at(origin)}{place}{reason}"
        f"{reach if is_large else ''}.",
        evidence=tuple(words.tensor(stats) for stats in origin.operation.inputs),
        confidence=0.7 if evidence.in_backward(origin) else 0.9,
        advice=_advice(sure=reason != "", is_large=is_large),
    )


def _argument(operation: Operation) -> TensorStats | None:
    """The tensor whose logarithm is taken: the second one of xlogy, else the first."""
    if evidence.base(operation) in {"xlogy", "special_xlog1py"}:
        return evidence.argument(operation, "other")
    return operation.inputs[0] if operation.inputs else None


def _received(origin: Origin) -> str | None:
    """What the logarithm got that it cannot take; None when all was in order."""
    stats = _argument(origin.operation)
    if stats is None or stats.min is None:
        return None
    edge = -1.0 if evidence.base(origin.operation) in {"log1p", "special_xlog1py"} else 0.0
    values = () if evidence.in_backward(origin) else evidence.operands(origin, stats.name)
    lowest = min(values, default=stats.min)
    if lowest == edge:
        return f"exactly {number(edge)}"
    if lowest < edge:
        return f"{number(lowest)}, a number below {number(edge)},"
    limits = limits_of(stats.dtype)
    if evidence.in_backward(origin) and limits is not None and 0.0 < lowest - edge < limits.smallest_normal:
        return f"{number(lowest)}, so close to 0 that its slope 1/x overflows {stats.dtype},"
    return None


def _saturation(case: Case, origin: Origin) -> str:
    """Which operation before it rounded to 0 or 1, and from what; empty when none is near."""
    source = evidence.upstream(case, evidence.SATURATING)
    if source is None or not source.inputs or not source.outputs:
        return ""
    name, logits, limits = evidence.base(source), source.inputs[0], limits_of(source.inputs[0].dtype)
    at_top = evidence.upstream(case, {"rsub", "sub"}, within=case.upstream.index(source)) is not None
    if limits is None or not (source.outputs[0].max == 1.0 if at_top else source.outputs[0].min == 0.0):
        return ""
    what = f"{name} rounded to exactly 1, so 1 - p is 0" if at_top else f"{name} underflowed"
    bound = f"exp ends at {round(limits.exp_underflows_below)}"
    if at_top:
        bound = f"1 - exp(-x) is 1 from {math.log(4.0 / limits.eps):.3g} on"
    bound = f"in {logits.dtype} {bound}"
    return f": {what}, because its inputs span {extent(logits)} ({bound}){words.cite(source, unless=origin.operation)}"


def _advice(*, sure: bool, is_large: bool) -> str:
    """Loss on the logits where a probability underflowed; otherwise look at what fed the logarithm."""
    if not sure:
        return (
            "Find out why the argument is not positive: if it is a probability, take the loss on the "
            "logits (log_softmax, logsigmoid); if it is a log-variance already, leave the log away; if it "
            "is a sum that may be empty, leave the empty ones out."
        )
    text = (
        "Take the loss on the logits: log_softmax or cross_entropy for softmax, logsigmoid or "
        "binary_cross_entropy_with_logits for sigmoid."
    )
    return f"{text} Also standardise the inputs of the network." if is_large else text
