"""What the trace keeps of each operation: no values, only ranges, and masks where something is not finite."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from evenkeel.core.operation import Element, Operation, Phase
from evenkeel.core.place import Place
from evenkeel.core.stats import TensorStats


@dataclass(slots=True)
class Touch:
    """A floating-point tensor as an operation read or wrote it: where it lies, its range, what is bad in it."""

    name: str
    storage: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    stats: TensorStats | None = None
    nan: Tensor | None = None  # bool masks of the tensor's shape; None when everything is finite
    inf: Tensor | None = None
    writer: int | None = None  # reads only: the record that last wrote the storage
    bad_writers: tuple[int, ...] = ()  # reads only: records that wrote something bad into it, latest first

    @classmethod
    def at(cls, tensor: Tensor, name: str) -> Touch:
        """Note where a tensor lies."""
        plain = tensor.layout == torch.strided
        return cls(
            name=name,
            storage=storage_of(tensor),
            shape=tuple(tensor.shape),
            stride=tensor.stride() if plain else (),
            offset=int(tensor.storage_offset()) if plain else 0,
        )

    @property
    def bad(self) -> bool:
        """Whether any element is not finite."""
        return self.nan is not None

    def nonfinite(self) -> Tensor:
        """Mask of NaN and infinite elements; call it on a bad touch only."""
        if self.nan is None or self.inf is None:
            message = f"{self.name} has only finite elements"
            raise ValueError(message)
        return self.nan | self.inf

    def positions(self) -> Tensor:
        """The position in the storage of each element, in the tensor's shape."""
        result = torch.full(self.shape, self.offset, dtype=torch.int64)
        for dimension, (size, stride) in enumerate(zip(self.shape, self.stride, strict=True)):
            view = [1] * len(self.shape)
            view[dimension] = size
            result = result + (torch.arange(size) * stride).reshape(view)
        return result


@dataclass(slots=True)
class Record:
    """One operation of the traced step."""

    index: int
    op: str
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

    def operation(self) -> Operation:
        """The value that later stages see."""
        return Operation(
            index=self.index,
            op=self.op,
            function=self.function,
            phase=self.phase,
            api=self.api,
            place=self.place,
            module=self.module,
            inputs=tuple(t.stats for t in self.reads if t.stats),
            outputs=tuple(t.stats for t in self.writes if t.stats),
            scalars=self.scalars,
            made_by=tuple(t.writer for t in self.reads if t.stats),
        )


def storage_of(tensor: Tensor) -> int:
    """A key that all views of the same memory share, and the memory alone once it is gone."""
    return int(memory_of(tensor)._cdata)


def memory_of(tensor: Tensor) -> torch.UntypedStorage:
    """The storage of the values."""
    if tensor.layout == torch.sparse_coo:
        return tensor._values().untyped_storage()
    return (tensor if tensor.layout == torch.strided else tensor.values()).untyped_storage()
