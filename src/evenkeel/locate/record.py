"""What the trace keeps of each operation: no values, only ranges, and masks where something is not finite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from evenkeel.core.operation import Element, Operation, Phase
from evenkeel.core.place import Place
from evenkeel.core.stats import TensorStats
from evenkeel.locate.call import Call
from evenkeel.locate.content import Content
from evenkeel.locate.layout import Layout, carried


@dataclass(slots=True)
class Touch:
    """A tensor as an operation read or wrote it: where it lies, its range, what is bad in it."""

    name: str
    storage: int
    layout: Layout
    content: Content | None = None
    source: Touch | None = None  # reads only: the content is that of the same elements in this other arrangement
    history: Writing | None = None  # reads only: what had been written into the storage by then
    is_exact: bool = True  # whether the content is that of these very elements, and not of a tensor they are part of

    @classmethod
    def at(cls, tensor: Tensor, name: str) -> Touch:
        """Note where a tensor lies."""
        return cls(name, storage_of(tensor), Layout.of(tensor))

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the tensor."""
        return self.layout.shape

    @property
    def stats(self) -> TensorStats | None:
        """Counts and range under this name."""
        return None if self.content is None else self.content.stats(self.name, self.shape)

    @property
    def bad(self) -> bool:
        """Whether any element is not finite."""
        return self.content is not None and self.content.nan is not None

    @property
    def nan(self) -> Tensor | None:
        """Mask of NaN elements; None when everything is finite."""
        if self.content is None or self.content.nan is None:
            return None
        return self._arranged(self.content.nan.dense())

    @property
    def inf(self) -> Tensor | None:
        """Mask of infinite elements; None when everything is finite."""
        if self.content is None or self.content.inf is None:
            return None
        return self._arranged(self.content.inf.dense())

    def nonfinite(self) -> Tensor:
        """Mask of NaN and infinite elements; call it on a bad touch only."""
        if self.content is None or self.content.nan is None or self.content.inf is None:
            message = f"{self.name} has only finite elements"
            raise ValueError(message)
        nan, inf = self.content.nan, self.content.inf
        return self._arranged(nan.dense() if nan.is_full or inf.is_empty else nan.dense() | inf.dense())

    @property
    def writer(self) -> int | None:
        """Reads only: the record that last wrote the storage."""
        return None if self.history is None else self.history.record

    def bad_writings(self) -> Iterator[Writing]:
        """Reads only: what had written something bad into the storage, latest first."""
        writing = self.history
        while writing is not None and writing.any_bad:
            if writing.touch.bad:
                yield writing
            writing = writing.earlier

    def _arranged(self, mask: Tensor) -> Tensor:
        return mask if self.source is None else carried(mask, self.source.layout, self.layout)


class Writing(NamedTuple):
    """An operation wrote into a storage; what lay there before stays where it is not covered."""

    record: int
    position: int  # among the writes of the record
    touch: Touch
    is_complete: bool  # all of the storage has been written by operations of the trace
    any_bad: bool  # this or an earlier one wrote something that is not finite
    earlier: Writing | None = None


@dataclass(slots=True)
class Record:
    """One operation of the traced step."""

    index: int
    op: str
    kind: str  # "softmax_backward_data": the name without marks of privacy and place
    function: str
    phase: Phase
    pointwise: bool
    api: str = ""
    place: Place | None = None
    module: str = ""
    reads: list[Touch] = field(default_factory=list)
    writes: list[Touch] = field(default_factory=list)
    scalars: tuple[float, ...] = ()
    dims: tuple[int, ...] | None = None  # the `dim` argument, when there is one
    elements: tuple[Element, ...] = ()
    forward: int | None = None  # of a backward operation: the record it is the derivative of
    call: Call | None = None  # the arguments without values, where following elements through it takes them

    def operation(self) -> Operation:
        """The value that later stages see."""
        inputs = [(t.stats, t.writer) for t in self.reads]
        return Operation(
            index=self.index,
            op=self.op,
            function=self.function,
            phase=self.phase,
            api=self.api,
            place=self.place,
            module=self.module,
            inputs=tuple(stats for stats, _ in inputs if stats),
            outputs=tuple(t.stats for t in self.writes if t.stats),
            scalars=self.scalars,
            made_by=tuple(writer for stats, writer in inputs if stats),
        )


def storage_of(tensor: Tensor) -> int:
    """A key that all views of the same memory share, and the memory alone once it is gone."""
    return key_of(memory_of(tensor))


def key_of(memory: torch.UntypedStorage) -> int:
    """The same key, of the memory itself."""
    return int(memory._cdata)


def memory_of(tensor: Tensor) -> torch.UntypedStorage:
    """The storage of the values."""
    if tensor.layout == torch.sparse_coo:
        return tensor._values().untyped_storage()
    return (tensor if tensor.layout == torch.strided else tensor.values()).untyped_storage()
