"""Put numbers, places and elements into words."""

from __future__ import annotations

from collections.abc import Sequence

from evenkeel.core.case import Origin
from evenkeel.core.operation import Leaf, Operation
from evenkeel.core.stats import TensorStats
from evenkeel.core.words import extent, nonfinite, number

_MAX_LISTED = 4


def plural(count: int, noun: str) -> str:
    """`1 zero`, `18 zeros`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def tensor(stats: TensorStats) -> str:
    """One tensor in a line: `self, float32 of shape [8, 3]: -812 to 640, 2 NaN`."""
    bad = f", {nonfinite(stats)}" if stats.num_nonfinite else ""
    return f"{stats.name}, {stats.dtype} of shape {list(stats.shape)}: {extent(stats)}{bad}"


def leaf(entering: Leaf) -> str:
    """A tensor that entered the step: `the batch (batch.bulk)`."""
    kinds = {"external": "a tensor from outside the loader", "gradient": "the gradient of"}
    kind = kinds.get(entering.kind, f"the {entering.kind}")
    return f"{kind} {entering.name}" if entering.name else kind


def cite(operation: Operation, *, unless: Operation | None = None) -> str:
    """Where an operation stands, ready to append: ` (train.py:41 in loss_fn)`, else its module.

    Nothing when it is the place of `unless`, which the same sentence names already.
    """
    if unless is not None and operation.place == unless.place:
        return ""
    if operation.place is not None:
        return f" ({operation.place})"
    return f" (in module {operation.module})" if operation.module else ""


def at(origin: Origin) -> str:
    """Where the bad elements lie: ` at [3, 1] and 17 more`; nothing for a scalar or if none was kept."""
    if not origin.elements or not origin.elements[0].index:
        return ""
    outputs = (origin.derivative or origin.operation).outputs
    total = max(len(origin.elements), outputs[0].num_nonfinite if outputs else 0)
    more = f" and {total - 1:,} more" if total > 1 else ""
    return f" at {list(origin.elements[0].index)}{more}"


def some(values: Sequence[float]) -> str:
    """The first few distinct numbers of a list."""
    distinct = list(dict.fromkeys(number(value) for value in values))
    more = ", …" if len(distinct) > _MAX_LISTED else ""
    return ", ".join(distinct[:_MAX_LISTED]) + more


def history(values: Sequence[float]) -> str:
    """The last few values of a series: `2.3, 14, 310`."""
    return ", ".join(number(value) for value in values[-_MAX_LISTED:])
