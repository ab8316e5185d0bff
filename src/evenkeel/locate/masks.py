"""Masks over the elements of a tensor, kept small: a bit an element, and next to nothing where all are alike.

On a CPU NumPy makes them: torch takes ten times as long to compare, to count and to ask whether any is true.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Test = Literal["isnan", "isinf", "isposinf"]

_CHUNK = 1 << 16
_TESTS: dict[Test, tuple[Callable[[npt.NDArray[Any]], Any], Callable[[Tensor], Tensor]]] = {
    "isnan": (np.isnan, torch.isnan),
    "isinf": (np.isinf, torch.isinf),
    "isposinf": (np.isposinf, torch.isposinf),
}


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A set of elements. Memory: numel / 8 bytes; none when it holds all elements or no element."""

    shape: tuple[int, ...]
    is_full: bool
    bits: npt.NDArray[np.uint8] | None = None  # None: all elements or, where it is not full, none

    @classmethod
    def of(cls, dense: Tensor, num_set: int | None = None) -> Mask:
        """Pack a bool tensor; `num_set` is the number of its true elements, where it is known."""
        count = count_of(dense) if num_set is None else num_set
        shape, numel = tuple(dense.shape), math.prod(dense.shape)
        if count in {0, numel}:
            return cls(shape, is_full=count > 0)
        return cls(shape, is_full=False, bits=np.packbits(dense.cpu().numpy()))

    def equals(self, other: Mask) -> bool:
        """Whether both hold the same elements."""
        if (self.shape, self.is_full) != (other.shape, other.is_full):
            return False
        if self.bits is None or other.bits is None:
            return self.bits is other.bits
        return np.array_equal(self.bits, other.bits)

    @property
    def is_empty(self) -> bool:
        """Whether it holds no element."""
        return self.bits is None and not self.is_full

    def dense(self) -> Tensor:
        """As a bool tensor on the CPU; not to be written into."""
        if self.bits is None:
            return torch.tensor(self.is_full, device="cpu").expand(self.shape)
        flat = np.unpackbits(self.bits, count=math.prod(self.shape))
        return torch.from_numpy(flat).view(torch.bool).reshape(self.shape)


def as_array(values: Tensor) -> npt.NDArray[Any]:
    """A tensor on the CPU for NumPy, without a copy but of the formats that it does not know or is slow at.

    By way of DLPack: `Tensor.numpy` would forbid the program for good to resize the memory, as sharded modules do.
    """
    narrow = values.is_floating_point() and values.element_size() < 4  # noqa: PLR2004  bytes of float32
    found: npt.NDArray[Any] = np.from_dlpack((values.float() if narrow else values).resolve_conj().resolve_neg())
    return found


def elements_that(test: Test, values: Tensor) -> Tensor:
    """Which elements pass, as a bool tensor on the device of the values."""
    on_cpu, elsewhere = _TESTS[test]
    return torch.from_numpy(np.asarray(on_cpu(as_array(values)))) if values.is_cpu else elsewhere(values)


def not_zero(values: Tensor) -> Tensor:
    """Which elements of a tensor on the CPU are not zero; NaN is not."""
    return torch.from_numpy(np.asarray(as_array(values.detach()) != 0))


def count_of(mask: Tensor) -> int:
    """How many elements of a bool tensor are true."""
    return int(np.count_nonzero(mask.numpy()) if mask.is_cpu else torch.count_nonzero(mask))


def any_of(mask: Tensor) -> bool:
    """Whether a bool tensor on the CPU has a true element. Cost: a fraction of torch's own `any`."""
    array: npt.NDArray[np.bool_] = mask.numpy()
    if array.size and not any(array.strides):  # all elements are one
        return bool(array.flat[0])
    return bool(array.any())


def first_of(mask: Tensor, most: int) -> Tensor:
    """The indices of the first true elements of a bool tensor on the CPU, one row each. Cost: no copy of the mask."""
    found: list[npt.NDArray[np.int64]] = []
    array = mask.numpy()
    flat = array.reshape(-1) if array.flags.c_contiguous else array.flat
    for begin in range(0, array.size, _CHUNK):
        found.append(np.flatnonzero(flat[begin : begin + _CHUNK])[:most] + begin)
        most -= len(found[-1])
        if most <= 0:
            break
    chosen = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
    return torch.from_numpy(indices_of(chosen, tuple(mask.shape)))


def indices_of(places: npt.NDArray[np.int64], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """The indices of elements that are given by their numbers, one row each."""
    if not shape:
        return np.empty((len(places), 0), dtype=np.int64)
    return np.stack(np.unravel_index(places, shape), axis=-1).astype(np.int64, copy=False)
