"""How tensors lie in their storage, and how marks on one view are carried over to another."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor


class Layout(NamedTuple):
    """Sizes and strides of a tensor, in elements; strides are empty where it has none (sparse)."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    itemsize: int

    @classmethod
    def of(cls, tensor: Tensor) -> Layout:
        """Note how a tensor lies."""
        if tensor.layout == torch.strided:
            return _layout(tuple(tensor.shape), tensor.stride(), tensor.storage_offset(), tensor.element_size())
        return _layout(tuple(tensor.shape), (), 0, tensor.element_size())

    @property
    def is_plain(self) -> bool:
        """Whether each element has a place in the storage."""
        return len(self.stride) == len(self.shape)

    @property
    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def end(self) -> int:
        """The last place, in elements; for a tensor that is not empty."""
        return self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.stride, strict=True))

    def has_overlaps(self) -> bool:
        """Whether elements may share a place; where it is hard to tell, yes."""
        reach = 0
        for stride, size in sorted(zip(self.stride, self.shape, strict=True)):
            if size > 1:
                if stride <= reach:
                    return True
                reach += (size - 1) * stride
        return False

    def is_arrangement_of(self, other: Layout) -> bool:
        """Whether both consist of the same places, each once."""
        if not (self.is_plain and other.is_plain) or self.itemsize != other.itemsize or not self.numel:
            return False
        return all(a.end - a.offset + 1 == self.numel and not a.has_overlaps() for a in (self, other)) and (
            self.offset == other.offset
        )

    def positions(self) -> Tensor:
        """The place in the storage of each element, in the tensor's shape."""
        result = torch.full(self.shape, self.offset, dtype=torch.int64, device="cpu")
        for dimension, (size, stride) in enumerate(zip(self.shape, self.stride, strict=True)):
            view = [1] * len(self.shape)
            view[dimension] = size
            result = result + (torch.arange(size, device="cpu") * stride).reshape(view)
        return result


@functools.lru_cache(maxsize=4096)
def _layout(shape: tuple[int, ...], stride: tuple[int, ...], offset: int, itemsize: int) -> Layout:
    """One for all tensors that lie alike: a step has thousands."""
    return Layout(shape, stride, offset, itemsize)


def carried(mask: Tensor, source: Layout, target: Layout) -> Tensor:
    """The elements of `target` that lie where `source` has a marked one; all, where that cannot be told."""
    if source == target:
        return mask
    if not (source.is_plain and target.is_plain):
        return mask.any().expand(target.shape)
    if 0 in (source.numel, target.numel):
        return torch.zeros(target.shape, dtype=torch.bool, device="cpu")
    if source.itemsize != target.itemsize:
        return _carried_in_bytes(mask, source, target)
    low, high = min(source.offset, target.offset), max(source.end, target.end)
    marks = torch.zeros(high - low + 1, dtype=torch.bool, device="cpu")
    if source.has_overlaps():
        marks[source.positions()[mask] - low] = True
    else:
        marks.as_strided(source.shape, source.stride, source.offset - low).copy_(mask)
    return marks.as_strided(target.shape, target.stride, target.offset - low).clone()


def _carried_in_bytes(mask: Tensor, source: Layout, target: Layout) -> Tensor:
    """The same for elements of two sizes: a complex number and its parts, a tensor seen as another dtype."""
    unit = max(source.itemsize, target.itemsize)
    marked = source.positions()[mask] * source.itemsize // unit
    return torch.isin(target.positions() * target.itemsize // unit, marked)
