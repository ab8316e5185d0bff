"""A softmax or logsumexp got a row in which everything is masked.

What you see:
    NaN out of an attention, softmax or log-sum-exp; with a mask that is a finite loss and NaN gradients.
Why:
    A softmax takes the largest entry away first. In a row of -inf throughout that is -inf - (-inf) = NaN: a
    padded sequence of length 0, an empty group, an identity element -inf met by another.
Bad:
    weights = torch.softmax(scores.masked_fill(~allowed, -torch.inf), -1)     # a row without an allowed key
Good:
    empty = ~allowed.any(-1, keepdim=True)
    weights = torch.softmax(scores.masked_fill(~(allowed | empty), -torch.inf), -1).masked_fill(empty, 0)
Not this:
    A -inf that arithmetic made in 16 bits is mask_constant_overflow. Replacing the NaN after the softmax
    leaves the gradient of the scores NaN.
Source:
    pytorch#41508, #40932, #24816, #49724.
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.diagnose import evidence, words

CODE = "EK214"
FAMILY: Family = "gradient_singularity"


def judge(case: Case) -> Cause | None:
    """A softmax-like operation over a row that is -inf throughout, in forward or backward."""
    softmax = _softmax(case)
    origin = evidence.born(case)
    if softmax is None or origin is None:
        return None
    masked = sum(stats.num_neginf for stats in softmax.inputs)
    if not masked or any(stats.num_nan or stats.num_posinf for stats in softmax.inputs):
        return None
    made_nan = any(stats.num_nan for stats in softmax.outputs)
    if not made_nan and not evidence.in_backward(origin):
        return None
    name = evidence.base(softmax)
    where = words.at(origin) if softmax is origin.operation else ""
    return Cause(
        name="fully_masked_row",
        code=CODE,
        family=FAMILY,
        text=f"{name} got a row that is -inf throughout{where}{words.cite(softmax)}: it subtracts the "
        f"largest entry, and -inf - (-inf) is NaN{_mask(case, softmax)}{_rows(origin)}.",
        evidence=(
            f"{masked:,} of {_size(softmax):,} entries are -inf",
            *(words.tensor(s) for s in softmax.inputs),
        ),
        confidence=_confidence(name, made_nan=made_nan),
        advice=(
            "Give rows without any allowed entry finite scores before this line (open one key, or fill "
            "with 0) and set their result to 0 after it; or leave empty samples out of the batch."
        ),
    )


def _softmax(case: Case) -> Operation | None:
    """The softmax-like operation: the origin itself, or where the infinity of the chain became NaN."""
    origin = evidence.born(case)
    candidates = [origin.operation] if origin is not None else []
    candidates += [link.operation for link in case.chain if link.role == "became nan"]
    return next((operation for operation in candidates if _is_softmax(operation)), None)


def _is_softmax(operation: Operation) -> bool:
    name = evidence.base(operation)
    return operation.phase == "forward" and (name in evidence.SOFTMAXES or "attention" in name)


def _confidence(name: str, *, made_nan: bool) -> float:
    """NaN that a softmax makes itself has no other reason; in backward only log-sum-exps are that sure."""
    if made_nan:
        return 0.92
    return 0.6 if name in {"softmax", "log_softmax"} else 0.9


def _size(operation: Operation) -> int:
    return sum(stats.numel for stats in operation.inputs)


def _mask(case: Case, softmax: Operation) -> str:
    """The line that placed the mask."""
    placed = next((link.operation for link in case.chain if link.role == "constant placed"), None)
    return (
        f"; the mask was placed by {evidence.base(placed)}{words.cite(placed, unless=softmax)}"
        if placed is not None
        else ""
    )


def _rows(origin: Origin) -> str:
    """The samples that have such a row."""
    if not origin.samples:
        return ""
    total = f" of {origin.num_samples}" if origin.num_samples else ""
    return f"; {words.plural(len(origin.samples), 'sample')}{total}: {words.some(origin.samples)}"
