"""Quantiles of more values than can be kept, with a stated error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError
from evenkeel.metrics.batch import columns
from evenkeel.metrics.score import Score, undefined
from evenkeel.metrics.statistics import Statistics
from evenkeel.tensors.wide import Wide


@dataclass(frozen=True, slots=True)
class Precision:
    """How exact a sketch is, and for which magnitudes.

    Args:
        relative_error: the largest |found - exact| / |exact| of a quantile; above 0, below 1.
        smallest: magnitudes up to this count as 0.
        largest: magnitudes above this are only counted; a quantile that falls among them is undefined.

    Raises:
        UsageError: numbers that make no sketch.
    """

    relative_error: float = 0.01
    smallest: float = 1e-9
    largest: float = 1e9

    def __post_init__(self) -> None:
        if not (0.0 < self.relative_error < 1.0 and 0.0 < self.smallest < self.largest < math.inf):
            raise UsageError(f"no sketch with {self}: 0 < relative_error < 1 and 0 < smallest < largest")

    @property
    def growth(self) -> float:
        """The ratio of one bucket's upper end to the next lower one's."""
        return (1.0 + self.relative_error) / (1.0 - self.relative_error)

    @property
    def num_buckets(self) -> int:
        """On each side of 0; the last holds what is larger than `largest`."""
        return math.ceil(math.log(self.largest / self.smallest) / math.log(self.growth)) + 1


@dataclass(frozen=True, slots=True, eq=False)
class QuantileSketch(Statistics):
    """Counts in buckets whose ends grow by a constant factor, on both sides of 0.

    Counts add, so any division and order of the values give the same sketch to the bit. Sketches that keep chosen
    samples (KLL, t-digest) are smaller, but what they keep depends on the order.

    Error: `relative_error` of the quantile, `smallest` near 0; stated in each score.
    Memory: 16 bytes a bucket; 4,150 buckets for 1 % from 1e-9 to 1e9.
    Source: Masson, Rim and Lee (2019), DDSketch, VLDB 12.
    """

    precision: Precision
    counts: Wide  # from the most negative bucket over that of 0 to the most positive
    num_bad: Wide

    @classmethod
    def empty(cls, precision: Precision, device: torch.device | str = "cpu") -> QuantileSketch:
        """Of no data."""
        size = 2 * precision.num_buckets + 1
        return cls(precision, Wide.zeros(size, device=device), Wide.zeros(1, device=device))

    @classmethod
    def of(cls, values: Tensor, precision: Precision, mask: Tensor | None = None) -> QuantileSketch:
        """Of one batch [B], with a bool mask. NaN is counted, and makes each quantile undefined. No sync.

        Raises:
            UsageError: shapes or dtypes that do not fit.
        """
        mask, (x,) = columns(mask, values)
        good = ~x.isnan()
        last = precision.num_buckets
        steps = torch.ceil(torch.log(x.abs() / precision.smallest) / math.log(precision.growth))
        steps = torch.where(x.abs() <= precision.smallest, 0.0, steps.clamp(1.0, last))
        steps = torch.where(x.abs() > precision.largest, float(last), steps.clamp(max=last - 1.0))
        at = torch.where(good, torch.sign(x) * steps, 0.0).long() + last
        zeros = torch.zeros(2 * last + 1, dtype=torch.float64, device=x.device)
        counts = zeros.index_add(0, at.flatten(), (mask & good).double().flatten())
        return cls(precision, Wide.of(counts), Wide.of((mask & ~good).double().sum().reshape(1)))

    def quantile(self, share: float) -> Score:
        """The value with `share` of the others below it: number floor(share * (n - 1)) of n sorted values, from 0.

        Undefined without values, with NaN among them, and where it is larger than `largest`.

        Raises:
            UsageError: `share` is not between 0 and 1.
        """
        if not 0.0 <= share <= 1.0:
            raise UsageError(f"a quantile is asked for by a share from 0 to 1, not {share}")
        counts = self.counts.high.cpu()
        number, num_bad = int(counts.sum()), int(self.num_bad.high)
        if num_bad or number == 0:
            reason = f"{num_bad:,} values are NaN" if num_bad else "no elements"
            return undefined("1", "elements", reason, counted=number, missing=num_bad)
        rank = math.floor(share * (number - 1))
        step = int((counts.cumsum(0) <= rank).sum()) - self.precision.num_buckets
        if abs(step) == self.precision.num_buckets:
            return undefined("1", "elements", f"it lies beyond {self.precision.largest:g}", missing=number)
        value, error = self._inside(step)
        return Score(value=value, unit="1", of="elements", counted=number, error=error)

    def score(self) -> Score:
        """The median."""
        return self.quantile(0.5)

    def _inside(self, step: int) -> tuple[float, float]:
        """The point of a bucket that is relatively nearest to both ends, and how far these are."""
        p = self.precision
        if step == 0:
            return 0.0, p.smallest
        upper = p.smallest * p.growth ** abs(step)
        return math.copysign(2.0 * upper / (1.0 + p.growth), step), p.relative_error * upper
