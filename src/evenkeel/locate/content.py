"""What a tensor held at one moment: its range, and where it was not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evenkeel.core.stats import TensorStats
from evenkeel.locate.masks import Mask, as_array, count_of, elements_that
from evenkeel.tensors.measure import dense

_PIECE = 1 << 22  # elements


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
    """Look at a tensor. Cost: one read with one host sync when all is finite; else a few, and zeros are counted."""
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


def _examined(tensor: Tensor, values: Tensor) -> Content:
    found = Content(tensor.dtype, tensor.device)
    nan = elements_that("isnan", values)
    found.num_nan = count_of(nan)
    is_plain = tensor.layout == torch.strided and values.numel() == tensor.numel()
    if is_plain and found.num_nan == values.numel():
        found.num_zero = 0
        found.nan, found.inf = Mask(tuple(tensor.shape), is_full=True), Mask(tuple(tensor.shape), is_full=False)
        return found
    found.num_zero = _num_zero(values)
    num_inf = _measure_the_rest(found, values)
    whole = tensor.detach() if tensor.layout == torch.strided else tensor.detach().to_dense()
    if is_plain and values.shape == tensor.shape and values.stride() == tensor.stride():
        found.nan = Mask.of(nan, found.num_nan)
    else:  # values of a sparse tensor, parts of complex ones, or in another order
        found.nan = Mask.of(elements_that("isnan", whole))
    found.inf = Mask.of(elements_that("isinf", whole)) if num_inf else Mask(tuple(tensor.shape), is_full=False)
    return found


def _measure_the_rest(found: Content, values: Tensor) -> int:
    """Range and infinities of what is not NaN. Returns: how many infinities there are."""
    if found.num_nan == values.numel():
        return 0
    found.low, found.high = _range_beside_nan(values)
    if -math.inf < found.low and found.high < math.inf:
        return 0
    num_inf = count_of(elements_that("isinf", values))
    found.num_posinf = count_of(elements_that("isposinf", values)) if found.low == -math.inf else num_inf
    found.num_neginf = num_inf - found.num_posinf
    is_all = found.num_nan + num_inf == values.numel()
    found.low, found.high = (None, None) if is_all else _range_beside_nan(values, finite_only=True)
    return num_inf


def _range_beside_nan(values: Tensor, *, finite_only: bool = False) -> tuple[float, float]:
    """The range of what is not NaN, which is something; with `finite_only`, of what is not infinite either."""
    if not values.is_cpu:
        kept = values.isfinite() if finite_only else ~values.isnan()
        low, high = torch.where(kept, values, math.inf).amin(), torch.where(kept, values, -math.inf).amax()
        return _both(low, high)
    lows, highs = [], []
    for piece in _pieces(values):
        array = as_array(piece).reshape(-1)
        if finite_only:
            with np.errstate(invalid="ignore"):
                array = array + array * 0  # NaN where it was infinite
        lows.append(np.fmin.reduce(array))
        highs.append(np.fmax.reduce(array))
    return float(np.fmin.reduce(lows)), float(np.fmax.reduce(highs))


def _ordered(tensor: Tensor) -> Tensor:
    """The stored values as a plain real tensor of a dtype that has an order, its dimensions as they lie in memory."""
    values = dense(tensor)
    if values.dtype == torch.bool:
        return values.to(torch.uint8)
    if values.is_contiguous():
        return values
    strides = values.stride()
    return values.permute(sorted(range(values.dim()), key=lambda d: -strides[d]))


def _range(values: Tensor) -> tuple[float, float]:
    return _both(*torch.aminmax(values))


def _both(low: Tensor, high: Tensor) -> tuple[float, float]:
    if low.is_cpu:
        return float(low), float(high)
    found: list[float] = torch.stack((low, high)).tolist()  # one sync instead of two
    return found[0], found[1]


def _num_zero(values: Tensor) -> int:
    if not values.is_cpu:
        return values.numel() - int(torch.count_nonzero(values))
    return sum(int(np.count_nonzero(as_array(piece) == 0)) for piece in _pieces(values))


def _pieces(values: Tensor) -> Sequence[Tensor]:
    """The same elements in parts of which a copy is small, where that takes no copy of the whole."""
    is_large = values.numel() > _PIECE and values.is_contiguous()
    return torch.split(values.view(-1), _PIECE) if is_large else (values,)
