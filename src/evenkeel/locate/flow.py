"""Walk back from the symptom along the elements that carried it, to where they were born."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from evenkeel.locate.influence import influence
from evenkeel.locate.record import Record, Touch

# Operations of which an infinite input need not show in the output: beside a NaN, their infinities are masks.
_ABSORBING = {"softmax", "log_softmax", "logsumexp", "max", "min", "amax", "amin", "sort", "topk"}

BirthKind = Literal["infinity", "nan", "constant", "leaf"]


class Turn(NamedTuple):
    """Where an infinity became NaN: the operation, and the elements of its output that reached the symptom."""

    record: Record
    relevant: Tensor


@dataclass(slots=True)
class Birth:
    """Where a bad value entered: an operation with finite relevant inputs, a constant, or a leaf."""

    kind: BirthKind
    record: Record  # the operation that made it; for a leaf the first that read it
    touch: Touch  # what it wrote; for a leaf what was read
    relevant: Tensor  # the elements of `touch` that reached the symptom
    turn: Turn | None = None  # where its infinity turned into NaN on the way

    @property
    def became_nan(self) -> Record | None:
        """The operation that turned its infinity into NaN."""
        return self.turn.record if self.turn else None


@dataclass(slots=True)
class _Arrival:
    relevant: Tensor
    turn: Turn | None


@dataclass(slots=True)
class _Walk:
    records: Sequence[Record]
    frontier: dict[tuple[int, int], _Arrival] = field(default_factory=dict)
    births: list[Birth] = field(default_factory=list)

    def arrive(self, record: int, write: int, relevant: Tensor, turn: Turn | None) -> None:
        known = self.frontier.get((record, write))
        if known is None:
            self.frontier[record, write] = _Arrival(relevant, turn)
        else:
            known.relevant = known.relevant | relevant
            known.turn = known.turn or turn

    def run(self) -> list[Birth]:
        while self.frontier:
            latest = max(self.frontier)
            arrival = self.frontier.pop(latest)
            self._step(self.records[latest[0]], latest[1], arrival)
        return self.births

    def _step(self, record: Record, write: int, arrival: _Arrival) -> None:
        written = record.writes[write]
        carriers = _carriers(record, written, arrival.relevant)
        makes_nan = bool((_mask(written.nan) & arrival.relevant).any())
        if not carriers:
            self.births.append(_born_here(record, written, arrival.relevant, arrival.turn))
            return
        unexplained = arrival.relevant & ~_explained(record, carriers, arrival.relevant)
        if bool(unexplained.any()):
            self.births.append(_born_here(record, written, unexplained, arrival.turn))
        nan_carriers = [(t, _mask(t.nan) & m) for t, m in carriers if bool((_mask(t.nan) & m).any())]
        turn = arrival.turn
        if makes_nan and not nan_carriers:
            turn = Turn(record, _mask(written.nan) & arrival.relevant)
        absorbed = bool(nan_carriers) and makes_nan and record.function in _ABSORBING
        for touch, relevant in nan_carriers if absorbed else carriers:
            self._follow(record, touch, relevant, turn)

    def _follow(self, record: Record, touch: Touch, relevant: Tensor, turn: Turn | None) -> None:
        waiting = relevant
        for index in touch.bad_writers:
            for position, written in enumerate(self.records[index].writes):
                if written.storage == touch.storage and written.bad:
                    claimed = _claimed(waiting, touch, written)
                    if bool(claimed.any()):
                        self.arrive(index, position, _moved(claimed, touch, written), turn)
                        waiting = waiting & ~claimed
        if bool(waiting.any()):
            self.births.append(Birth("leaf", record, touch, waiting, turn))


def walk_back(records: Sequence[Record], record: int, storage: int, tensor_mask: Tensor | None = None) -> list[Birth]:
    """Find the births behind what `record` wrote into `storage`; `tensor_mask` limits the elements."""
    walk = _Walk(records)
    for position, written in enumerate(records[record].writes):
        if written.storage == storage and written.bad:
            everything = written.nonfinite()
            if tensor_mask is not None and tensor_mask.shape == everything.shape:
                everything = everything & tensor_mask
            walk.arrive(record, position, everything, None)
    return walk.run()


def _born_here(record: Record, written: Touch, relevant: Tensor, turn: Turn | None) -> Birth:
    kind: BirthKind = "nan" if bool((_mask(written.nan) & relevant).any()) else "infinity"
    if kind == "infinity" and any(math.isinf(s) for s in record.scalars):
        kind = "constant"
    return Birth(kind, record, written, relevant, turn)


def _explained(record: Record, carriers: list[tuple[Touch, Tensor]], relevant: Tensor) -> Tensor:
    """Which relevant elements came from a bad operand; only a pointwise operation can tell, else all did."""
    if not record.pointwise:
        return relevant
    spread = [torch.broadcast_to(m, relevant.shape) for _, m in carriers if _spreads(m, relevant)]
    return torch.stack(spread).any(dim=0) if len(spread) == len(carriers) else relevant


def _spreads(mask: Tensor, relevant: Tensor) -> bool:
    trailing = relevant.shape[relevant.dim() - mask.dim() :] if mask.dim() <= relevant.dim() else None
    return trailing is not None and all(m in (1, n) for m, n in zip(mask.shape, trailing, strict=True))


def _carriers(record: Record, written: Touch, relevant: Tensor) -> list[tuple[Touch, Tensor]]:
    found = []
    for read in record.reads:
        if read.bad:
            reached = influence(record, written, relevant, read) & read.nonfinite()
            if bool(reached.any()):
                found.append((read, reached))
    return found


def _mask(mask: Tensor | None) -> Tensor:
    return torch.zeros((), dtype=torch.bool) if mask is None else mask


def _claimed(waiting: Tensor, seen: Touch, written: Touch) -> Tensor:
    """The elements that this write put there; all of them where the memory is seen as another dtype or sparse."""
    if seen.stats is None or written.stats is None or seen.stats.dtype != written.stats.dtype:
        return waiting
    if len(seen.stride) != len(seen.shape) or len(written.stride) != len(written.shape):
        return waiting
    return waiting & torch.isin(seen.positions(), written.positions()[written.nonfinite()])


def _moved(relevant: Tensor, seen: Touch, written: Touch) -> Tensor:
    """Carry a mask from one view of a storage to another; all bad elements when the views share none."""
    bad = written.nonfinite()
    if len(seen.stride) != len(seen.shape) or len(written.stride) != len(written.shape):
        return bad
    if (seen.shape, seen.stride, seen.offset) == (written.shape, written.stride, written.offset):
        return relevant & bad
    moved = torch.isin(written.positions(), seen.positions()[relevant]) & bad
    return moved if bool(moved.any()) else bad
