"""The simplest shadows: element by element, along dimensions, everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from evenkeel.locate.record import Record, Touch

Shadow = Callable[[Tensor], Tensor]  # from the input's shape to the output's
Rule = Callable[[Record, Touch, Touch], Shadow | None]  # operation, what it wrote, what it read; None: no influence


def everything(_record: Record, written: Touch, _read: Touch) -> Shadow:
    """Each element of the output depends on all of the input."""
    return lambda x: x.sum().expand(written.shape)


def nothing(_record: Record, _written: Touch, _read: Touch) -> None:
    """The values of the input do not count, only its shape."""


def elementwise(record: Record, written: Touch, read: Touch) -> Shadow:
    """Each element depends on the one in its place, with broadcasting; a result of one element on all of them."""
    if _is_broadcast(read.shape, written.shape):
        return lambda x: x.broadcast_to(written.shape)
    return everything(record, written, read)


def reduced(record: Record, written: Touch, read: Touch) -> Shadow:
    """Each element depends on those along the dimensions that were reduced, all when none were given."""
    dims = _dims(record, read.shape)
    if not dims or len(written.shape) not in {len(read.shape), len(read.shape) - len(dims)}:
        return everything(record, written, read)
    keeps = len(written.shape) == len(read.shape)
    return lambda x: x.sum(dims, keepdim=keeps).expand(written.shape)


def mixed(record: Record, written: Touch, read: Touch) -> Shadow:
    """Each element depends on all along the dimensions of the operation, whose sizes may change."""
    dims = _dims(record, read.shape)
    if not dims or len(written.shape) != len(read.shape):
        return reduced(record, written, read)
    return lambda x: x.sum(dims, keepdim=True).expand(written.shape)


def cumulated(record: Record, written: Touch, read: Touch) -> Shadow:
    """Each element depends on those before it along the dimension, and on itself."""
    dims = _dims(record, read.shape)
    if len(dims) != 1 or written.shape != read.shape:
        return everything(record, written, read)
    return lambda x: x.cumsum(dims[0])


def apart(record: Record, written: Touch, read: Touch) -> Shadow:
    """Slices along the dimension of the operation are independent of one another."""
    dims = _dims(record, read.shape)
    others = [d for d in range(len(read.shape)) if d not in dims]
    if len(dims) != 1 or not others or len(written.shape) != len(read.shape):
        return everything(record, written, read)
    return lambda x: x.sum(others, keepdim=True).expand(written.shape)


def halves(record: Record, written: Touch, _read: Touch) -> Shadow:
    """A gated unit: what lies in the same place of either half belongs together."""
    (dim,) = _dims(record, written.shape) or [0]
    half = written.shape[dim] // 2 if record.kind.endswith("backward") else written.shape[dim]

    def shadow(x: Tensor) -> Tensor:
        joined = torch.stack(x.chunk(2, dim)).sum(0) if x.shape[dim] > half else x
        return torch.cat([joined, joined], dim) if written.shape[dim] > half else joined

    return shadow


def by_position(record: Record, written: Touch, read: Touch) -> Shadow | None:
    """Operations on lists: the second tensor comes from the second of each list; of it, the element in its place."""
    place, other = _place_in_list(written.name), _place_in_list(read.name)
    if place is not None and other is not None and place != other:
        return None
    return elementwise(record, written, read) if "norm" not in record.kind else everything(record, written, read)


def _place_in_list(name: str) -> str | None:
    _, bracket, position = name.partition("[")
    return position if bracket else None


def _is_broadcast(shape: Sequence[int], full: Sequence[int]) -> bool:
    trailing = full[len(full) - len(shape) :] if len(shape) <= len(full) else None
    return trailing is not None and all(size in (1, whole) for size, whole in zip(shape, trailing, strict=True))


def _dims(record: Record, shape: Sequence[int]) -> list[int]:
    if record.dims is None or not math.prod(shape) or not shape:
        return []
    return sorted({d % len(shape) for d in record.dims})
