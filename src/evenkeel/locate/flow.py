"""Walk back from the symptom along the elements that carried it, to where they were born."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from evenkeel.locate.influence import influence, reached
from evenkeel.locate.layout import carried
from evenkeel.locate.masks import any_of
from evenkeel.locate.record import Record, Touch, Writing

# Operations of which an infinite input need not show in the output: beside a NaN, their infinities are masks.
_ABSORBING = {"softmax", "log_softmax", "logsumexp", "max", "min", "amax", "amin", "sort", "topk"}

BirthKind = Literal["infinity", "nan", "constant", "leaf"]


class Turn(NamedTuple):
    """Where an infinity became NaN: the operation, what it wrote, the elements of that which reached the symptom."""

    record: Record
    touch: Touch
    relevant: Tensor


@dataclass(slots=True)
class Birth:
    """Where a bad value entered: an operation with finite relevant inputs, a constant, or a leaf."""

    kind: BirthKind
    record: Record  # the operation that made it; for a leaf the first that read it
    touch: Touch  # what it wrote; for a leaf what was read
    relevant: Tensor  # the elements of `touch` that reached the symptom
    turn: Turn | None = None  # where its infinity turned into NaN on the way
    is_placed: bool = False  # an infinity that somebody put there on purpose: a mask

    @property
    def became_nan(self) -> Record | None:
        """The operation that turned its infinity into NaN."""
        return self.turn.record if self.turn else None


@dataclass(slots=True)
class _Arrival:
    relevant: Tensor
    turn: Turn | None


@dataclass(slots=True)
class Walk:
    """A walk from later operations to earlier ones; each is passed once, when all that came from it is known."""

    records: Sequence[Record]
    births: list[Birth] = field(default_factory=list)
    passed: set[int] = field(default_factory=set)  # the operations that carried something bad to the symptom
    _frontier: dict[tuple[int, int], _Arrival] = field(default_factory=dict)
    _order: list[tuple[int, int]] = field(default_factory=list)

    def arrive(self, record: int, write: int, relevant: Tensor, turn: Turn | None) -> None:
        """These elements of what an operation wrote reached the symptom."""
        known = self._frontier.get((record, write))
        if known is None:
            self._frontier[record, write] = _Arrival(relevant, turn)
            heapq.heappush(self._order, (-record, -write))
        else:
            known.relevant = known.relevant | relevant
            known.turn = known.turn or turn

    def run(self) -> list[Birth]:
        """Walk until nothing is left; the births are found."""
        while self._order:
            record, write = (-number for number in heapq.heappop(self._order))
            self.passed.add(record)
            self._step(self.records[record], write, self._frontier.pop((record, write)))
        return self.births

    def _step(self, record: Record, write: int, arrival: _Arrival) -> None:
        written, relevant, turn = record.writes[write], arrival.relevant, arrival.turn
        carriers = _carriers(record, written, relevant)
        if not carriers:
            self.births.append(_born_here(record, written, relevant, turn))
            return
        unexplained = relevant & ~_explained(record, written, carriers)
        if any_of(unexplained):
            self.births.append(_born_here(record, written, unexplained, turn))
        now_nan = _mask(written.nan) & relevant
        makes_nan = any_of(now_nan)
        nan_carriers = [(t, m) for t, m in ((t, _mask(t.nan) & m) for t, m in carriers) if any_of(m)]
        if makes_nan and not nan_carriers:
            turn = Turn(record, written, now_nan)
        absorbed = bool(nan_carriers) and makes_nan and record.function in _ABSORBING
        for touch, carried_ones in nan_carriers if absorbed else carriers:
            self._follow(record, touch, carried_ones, turn)

    def _follow(self, record: Record, touch: Touch, relevant: Tensor, turn: Turn | None) -> None:
        waiting = relevant
        for writing in touch.bad_writings():
            claimed = waiting & _left_by(writing, touch)
            if any_of(claimed):
                bad = writing.touch.nonfinite()
                moved = carried(claimed, touch.layout, writing.touch.layout) & bad
                self.arrive(writing.record, writing.position, moved if any_of(moved) else bad, turn)
                waiting = waiting & ~claimed
                if not any_of(waiting):
                    return
        self.births.append(Birth("leaf", record, touch, waiting, turn))


def walk_back(records: Sequence[Record], record: int, seen: Touch, mask: Tensor | None = None) -> Walk:
    """Find the births behind what lies at `seen`, whose storage `record` was the last to write something bad into.

    `mask` limits the elements of `seen`; None: all that the trace saw to be bad.
    """
    walk = Walk(records)
    for position, written in enumerate(records[record].writes):
        if written.storage == seen.storage and written.bad:
            everything = written.nonfinite()
            wanted = everything if mask is None else everything & carried(mask, seen.layout, written.layout)
            walk.arrive(record, position, wanted if any_of(wanted) else everything, None)
    walk.run()
    return walk


def _born_here(record: Record, written: Touch, relevant: Tensor, turn: Turn | None) -> Birth:
    kind: BirthKind = "nan" if any_of(_mask(written.nan) & relevant) else "infinity"
    if kind == "infinity" and any(math.isinf(s) for s in record.scalars):
        kind = "constant"
    return Birth(kind, record, written, relevant, turn)


def _carriers(record: Record, written: Touch, relevant: Tensor) -> list[tuple[Touch, Tensor]]:
    """What was bad in the inputs, and can have reached the relevant elements."""
    found = []
    for read in record.reads:
        if read.bad:
            marked = influence(record, written, relevant, read) & read.nonfinite()
            if any_of(marked):
                found.append((read, marked))
    return found


def _explained(record: Record, written: Touch, carriers: list[tuple[Touch, Tensor]]) -> Tensor:
    """The elements that something bad in the inputs can have made bad."""
    result = torch.zeros((), dtype=torch.bool, device="cpu")
    for touch, marked in carriers:
        result = result | reached(record, written, touch, marked)
    return result


def _mask(mask: Tensor | None) -> Tensor:
    return torch.zeros((), dtype=torch.bool, device="cpu") if mask is None else mask


def _left_by(writing: Writing, seen: Touch) -> Tensor:
    """The elements of `seen` where the writing put something bad."""
    return carried(writing.touch.nonfinite(), writing.touch.layout, seen.layout)
