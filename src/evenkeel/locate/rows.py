"""The way back from an operation to the rows of the batch, through everything that was computed in between."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from evenkeel.locate.batch import Batch
from evenkeel.locate.influence import decided_by, influence, is_index
from evenkeel.locate.layout import carried
from evenkeel.locate.masks import any_of
from evenkeel.locate.record import Record, Touch

_MOST_WORK = 1 << 25  # elements that are looked at on the way back


def rows_behind(
    records: Sequence[Record], record: Record, touch: Touch, relevant: Tensor, batch: Batch
) -> tuple[int, ...] | None:
    """The rows of the batch that can have reached the relevant elements of what `record` wrote or read.

    None where that cannot be told: the batch's rows are unknown, or an operation on the way follows no known rule, or
    it would be too much work. Cost: proportional to the tensors between the batch and the record.
    """
    if not batch.num_samples:
        return None
    way = _Way(records, batch, _made_of(records, record.index, batch.storages))
    position = next((i for i, written in enumerate(record.writes) if written is touch), None)
    if position is None:
        way.follow(touch, relevant)
    else:
        way.arrive(record.index, position, relevant)
    return indices_of(way.rows) if way.run() else None


def _made_of(records: Sequence[Record], last: int, storages: set[int]) -> set[int]:
    """The operations up to `last` that read what was made of these storages, or what lies where such a thing lay."""
    reached, found = set(storages), set()
    for record in records[: last + 1]:
        if any(read.storage in reached for read in record.reads):
            found.add(record.index)
            reached.update(written.storage for written in record.writes)
    return found


@dataclass(slots=True)
class _Way:
    """The way back to the batch, over all values, good or bad."""

    records: Sequence[Record]
    batch: Batch
    concerned: set[int]
    rows: Tensor = field(init=False)
    is_known: bool = True
    work: int = 0
    waiting: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    order: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = torch.zeros(self.batch.num_samples, dtype=torch.bool, device="cpu")

    def arrive(self, record: int, write: int, relevant: Tensor) -> None:
        """These elements of what an operation wrote count."""
        if (record, write) in self.waiting:
            self.waiting[record, write] = self.waiting[record, write] | relevant
        else:
            self.waiting[record, write] = relevant
            heapq.heappush(self.order, (-record, -write))

    def run(self) -> bool:
        """Go all the way. Returns: whether the rows are known."""
        while self.order and self.is_known and not bool(self.rows.all()):
            record, write = (-number for number in heapq.heappop(self.order))
            self._step(self.records[record], write, self.waiting.pop((record, write)))
        return self.is_known

    def follow(self, read: Touch, relevant: Tensor) -> None:
        """Hand the elements of a read over to those who wrote them, or to the batch."""
        self.work += relevant.numel()
        self.is_known = self.is_known and self.work <= _MOST_WORK
        left, writing = relevant, read.history
        while writing is not None and any_of(left):
            layout = writing.touch.layout
            claimed = left & carried(torch.ones((), dtype=torch.bool).expand(layout.shape), layout, read.layout)
            if writing.record in self.concerned and any_of(claimed) and writing.touch.content is not None:
                self.arrive(writing.record, writing.position, carried(claimed, read.layout, layout))
            left, writing = left & ~claimed, writing.earlier
        if read.storage in self.batch.storages and any_of(left):
            found = self.batch.samples(read, left)
            self.is_known = self.is_known and found is not None
            self.rows = self.rows if found is None else self.rows | found

    def _step(self, record: Record, write: int, relevant: Tensor) -> None:
        written = record.writes[write]
        reads = [read for read in record.reads if self._counts(read)]
        values = [read for read in reads if not is_index(record, read)]
        for read in values:
            self.follow(read, influence(record, written, relevant, read))
        for index in () if values else reads:  # an index matters where what it chose from is not of the batch: tokens
            chosen = decided_by(record, written, relevant, index)
            if chosen is None:
                self.is_known = False
            else:
                self.follow(index, chosen)

    def _counts(self, read: Touch) -> bool:
        """Whether it was made of the batch."""
        writing = read.history
        while writing is not None:
            if writing.record in self.concerned:
                return True
            writing = writing.earlier
        return read.storage in self.batch.storages


def indices_of(rows: Tensor) -> tuple[int, ...]:
    """The positions of true elements."""
    return tuple(int(i) for i in torch.nonzero(rows).flatten())
