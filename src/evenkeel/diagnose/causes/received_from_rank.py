"""The bad value came from another rank, or out of the sum over the ranks.

What you see:
    Everything that this rank computed itself is finite; what a collective (all_reduce, broadcast, all_gather) gave
    back is not.
Why:
    One rank's NaN is every rank's NaN after a reduction. Where all shares are finite, their sum may still exceed the
    dtype: gradients of 40,000 in float16 on two ranks.
Bad:
    dist.all_reduce(gradient)                                        # nobody looked at the share that is sent
Good:
    bad = (~torch.isfinite(gradient).all()).float(); dist.all_reduce(bad, op=dist.ReduceOp.MAX)
    if not bad: dist.all_reduce(gradient)                            # the same decision on every rank
Not this:
    A count that is 0 on a rank is rank_without_data. The rank on which the value was born explains it best.
Source:
    pytorch#124348, intel/torch-xpu-ops#1756 (which rank was the first).
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import nonfinite, number
from evenkeel.diagnose import evidence, words
from evenkeel.diagnose.limits import limits_of

CODE = "EK281"
FAMILY: Family = "distributed"

_MANY_RANKS = 1024  # so many shares of this size may overflow in their sum


def judge(case: Case) -> Cause | None:
    """A collective returned something bad, and what this rank sent was finite."""
    origin = evidence.born(case)
    if origin is None or not origin.operation.is_collective or not evidence.is_finite(origin.operation):
        return None
    operation = origin.operation
    received = next((stats for stats in operation.outputs if stats.num_nonfinite), None)
    if received is None:
        return None
    sent = max((stats.magnitude for stats in operation.inputs), default=0.0)
    share = f"; this rank's own share is finite and reaches {number(sent)}" if operation.inputs else ""
    return Cause(
        name="received_from_rank",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(operation)}{words.cite(operation)} gave back {nonfinite(received)} among "
        f"{words.plural(received.numel, 'element')}{share}{_sum(operation, sent)}.",
        evidence=tuple(words.tensor(stats) for stats in (*operation.inputs, *operation.outputs)),
        confidence=0.95,
        advice=_advice(operation, sent),
    )


def _may_overflow(operation: Operation, sent: float) -> bool:
    """Whether finite shares of this size can leave the range when ranks add them."""
    limits = limits_of(operation.outputs[0].dtype)
    is_sum = not any(stats.num_nan for stats in operation.outputs)
    return limits is not None and is_sum and sent * _MANY_RANKS >= limits.largest


def _sum(operation: Operation, sent: float) -> str:
    """Who may have made it."""
    if not _may_overflow(operation, sent):
        return ": another rank's is not"
    limits = limits_of(operation.outputs[0].dtype)
    bound = f" ({operation.outputs[0].dtype} ends at {number(limits.largest)})" if limits is not None else ""
    return f": either another rank's is not, or the sum of all overflowed{bound}"


def _advice(operation: Operation, sent: float) -> str:
    text = (
        "Look at the other ranks: the one whose own share was bad has the cause. Have all ranks agree on a flag before "
        "they reduce, and skip and count the step together; never leave a bad rank out of the mean."
    )
    if not _may_overflow(operation, sent):
        return text
    return f"{text} If all shares are finite, divide by the number of ranks before the sum, or reduce in float32."
