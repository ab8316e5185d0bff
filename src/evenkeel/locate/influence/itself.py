"""Operations that only move, add up or multiply elements are their own shadows, on stand-ins of ones.

Where an operation is linear in an argument, with coefficients that are not negative while all other values are ones,
nothing can cancel, so its derivative is not 0 exactly where an element can have gone.
"""

from __future__ import annotations

from torch import Tensor

from evenkeel.locate.influence.shadow import Shadow, everything
from evenkeel.locate.record import Record, Touch


def itself(record: Record, written: Touch, read: Touch) -> Shadow:
    """The operation, run again with its own indices."""
    call = record.call
    if call is None or not call.is_complete:
        return everything(record, written, read)
    changed = _AS_SUMS.get(record.kind, {})

    def shadow(x: Tensor) -> Tensor:
        return call.run({read.name: _used(x, record, read)}, changed)[written.name]

    return shadow


def _used(x: Tensor, record: Record, read: Touch) -> Tensor:
    """Scattering takes no more of its source than there are indices; torch has no derivative of the cut."""
    if not (record.kind.startswith("scatter") and read.name == "src" and record.call is not None):
        return x
    (index,) = record.call.index("index")
    return x if index is None else x[tuple(map(slice, index.shape))]


# Where the operation chooses among the elements it joins, any of them may have been the one.
_AS_SUMS: dict[str, dict[str, object]] = {
    "scatter_reduce": {"reduce": "sum"},
    "embedding_bag": {"mode": 0},
}
