"""What a tensor held at one moment: its range, and where it was not finite."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.core.stats import TensorStats
from evenkeel.locate.masks import Mask
from evenkeel.tensors.measure import dense


@dataclass(slots=True)
class Content:
    """Counts, range and masks, but no values. Memory: that of the masks, at most 2 bits an element."""

    dtype: torch.dtype
    device: torch.device
    low: float | None = None  # of the finite elements; None when there are none
    high: float | None = None
    num_nan: int = 0
    num_posinf: int = 0
    num_neginf: int = 0
    num_zero: int | None = None
    nan: Mask | None = None  # both None when everything is finite
    inf: Mask | None = None

    @property
    def is_bad(self) -> bool:
        """Whether any element is not finite."""
        return self.nan is not None

    def share_masks(self, other: Content) -> None:
        """Let both hold one mask where they hold the same elements."""
        if self.nan is not None and other.nan is not None and self.nan.equals(other.nan):
            self.nan = other.nan
        if self.inf is not None and other.inf is not None and self.inf.equals(other.inf):
            self.inf = other.inf

    def stats(self, name: str, shape: tuple[int, ...]) -> TensorStats:
        """The same as later stages see it."""
        return TensorStats(
            name=name,
            shape=shape,
            dtype=str(self.dtype).removeprefix("torch."),
            device=str(self.device),
            num_nan=self.num_nan,
            num_posinf=self.num_posinf,
            num_neginf=self.num_neginf,
            num_zero=self.num_zero,
            min=self.low,
            max=self.high,
        )


def content_of(tensor: Tensor) -> Content:
    """Look at a tensor. Cost: one read with one host sync when all is finite; else a few, and no zeros are missed."""
    values = _ordered(tensor)
    if values.numel() == 0:
        return Content(tensor.dtype, tensor.device)
    low, high = _range(values)
    if -math.inf < low and high < math.inf:  # false for NaN too
        return Content(tensor.dtype, tensor.device, low, high)
    return _examined(tensor, values)


def count_zeros(content: Content, tensor: Tensor) -> None:
    """Add the number of zeros where it is not known yet. Cost: one read and one host sync, once."""
    if content.num_zero is None and tensor.numel():
        content.num_zero = _num_zero(_ordered(tensor))


def _ordered(tensor: Tensor) -> Tensor:
    """The stored values as a plain real tensor of a dtype that has an order."""
    values = dense(tensor)
    return values.to(torch.uint8) if values.dtype == torch.bool else values


def _range(values: Tensor) -> tuple[float, float]:
    low, high = torch.aminmax(values)
    if values.is_cpu:
        return float(low), float(high)
    both: list[float] = torch.stack((low, high)).tolist()  # one sync instead of two
    return float(both[0]), float(both[1])


def _examined(tensor: Tensor, values: Tensor) -> Content:
    found = Content(tensor.dtype, tensor.device)
    is_plain = tensor.layout == torch.strided and values.shape == tensor.shape
    nan = values.isnan()
    found.num_nan = int(torch.count_nonzero(nan))
    if is_plain and found.num_nan == values.numel():
        found.num_zero = 0
        found.nan, found.inf = Mask(tuple(tensor.shape), is_full=True), Mask(tuple(tensor.shape), is_full=False)
        return found
    found.num_zero = _num_zero(values)
    inf = _measure_the_rest(found, values, nan)
    if is_plain:
        found.nan, found.inf = Mask.of(nan, found.num_nan), Mask.of(inf, found.num_posinf + found.num_neginf)
    else:  # values of a sparse tensor, parts of complex ones
        whole = tensor.detach() if tensor.layout == torch.strided else tensor.detach().to_dense()
        found.nan, found.inf = Mask.of(whole.isnan()), Mask.of(whole.isinf())
    return found


def _measure_the_rest(found: Content, values: Tensor, nan: Tensor) -> Tensor:
    """Range and infinities of what is not NaN. Returns: where the infinities are."""
    none = torch.zeros_like(nan)
    if found.num_nan == values.numel():
        return none
    found.low, found.high = _range_without(values, nan, found) if found.num_nan else _range(values)
    if -math.inf < found.low and found.high < math.inf:
        return none
    inf = values.isinf()
    num_inf = int(torch.count_nonzero(inf))
    found.num_posinf = int(torch.count_nonzero(values == math.inf))
    found.num_neginf = num_inf - found.num_posinf
    is_all = found.num_nan + num_inf == values.numel()
    found.low, found.high = (None, None) if is_all else _range_without(values, nan | inf, found)
    return inf


def _range_without(values: Tensor, bad: Tensor, found: Content) -> tuple[float, float]:
    """The range of the others, of which there are some: zeros are put in, and taken out where there were none."""
    low, high = _range(values.masked_fill(bad, 0))
    if found.num_zero:
        return low, high
    if low == 0:
        return _range(values.masked_fill(bad, high))
    return (low, high) if high else _range(values.masked_fill(bad, low))


def _num_zero(values: Tensor) -> int:
    return values.numel() - int(torch.count_nonzero(values))
