"""Which of the step's batches an operation's values came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evenkeel.locate.record import Record


def ancestors(records: Sequence[Record], index: int) -> set[int]:
    """The operation of that index, and all whose results it was made of."""
    waiting, seen = [index], {index}
    while waiting:
        for read in records[waiting.pop()].reads:
            if read.writer is not None and read.writer not in seen:
                seen.add(read.writer)
                waiting.append(read.writer)
    return seen


def batch_reached(records: Sequence[Record], index: int, batch_of_storage: Mapping[int, int]) -> int | None:
    """The latest batch that the operation's values came from; None when they came from none.

    Recurrent state carries values of earlier batches of a step along: the latest is the one under way.
    """
    return max((batch_of_storage[s] for s in entered(records, index) if s in batch_of_storage), default=None)


def entered(records: Sequence[Record], index: int) -> set[int]:
    """The storages that no operation wrote, and that the operation's values came from."""
    reads = (read for ancestor in ancestors(records, index) for read in records[ancestor].reads)
    return {read.storage for read in reads if read.writer is None}


def replacements(records: Sequence[Record]) -> tuple[Record, ...]:
    """Operations that made something bad look finite on purpose."""
    return tuple(r for r in records if r.function in _REPLACING and _took_bad(r) and not any(w.bad for w in r.writes))


_REPLACING = {"nan_to_num", "nansum", "nanmean", "nanmedian"}


def _took_bad(record: Record) -> bool:
    return any(read.stats is not None and read.stats.num_nonfinite for read in record.reads)
