"""Mean and variance of one quantity."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.metrics.batch import Population, columns, kept, summed, whole
from evenkeel.metrics.score import Score, Scores
from evenkeel.metrics.statistics import Statistics
from evenkeel.tensors.wide import Wide

_CONSTANT = 2.0**-80
NO_ELEMENTS = "no elements"


@dataclass(frozen=True, slots=True, eq=False)
class Moments(Statistics):
    """Number, sum and sum of squares of each group [G].

    Batches are centred before they are squared, and sums are wide, so the variance keeps its digits as Welford's
    recurrence does, and merging is plain addition.

    Error: 1e-15 of mean and variance as a rule; 1e-12 of the variance as long as the spread is above 1e-8 of the mean.
    A spread below 1e-12 of the size counts as constant: float64 values of such a column hold no more.
    Domain: |x| below 1e150. Memory: 80 bytes a group.
    """

    population: Population
    first: Wide
    second: Wide

    @classmethod
    def empty(cls, num_groups: int = 1, device: torch.device | str = "cpu") -> Moments:
        """Of no data."""
        zeros = Wide.zeros(num_groups, device=device)
        return cls(Population.empty(num_groups, device), zeros, zeros)

    @classmethod
    def of(cls, values: Tensor, mask: Tensor | None = None) -> Moments:
        """Of one batch [B] or [B, G]; `mask` bool of the same shape. No sync.

        Raises:
            UsageError: shapes or dtypes that do not fit.
        """
        mask, (x,) = columns(mask, values)
        pivot = middle(mask, x)
        return cls(Population.of(mask, torch.isfinite(x)), *raw_sums(mask, x, pivot))

    def pooled(self) -> Moments:
        """All groups as one."""
        return Moments(self.population.pooled(), whole(self.first), whole(self.second))

    def mean(self) -> Scores:
        """Undefined without elements."""
        number = self.population.counted.high
        return self.population.scores(self.first.over(number).high, number == 0, NO_ELEMENTS, "1")

    def variance(self) -> Scores:
        """The unbiased sample variance, divided by n - 1; undefined for fewer than two elements."""
        number = self.population.counted.high
        spread = centred(self.first, self.first, self.second, number).high
        return self.population.scores(spread / (number - 1.0), number <= 1, "fewer than two elements", "1")

    def score(self) -> Score:
        """The mean over all elements of all groups."""
        return self.pooled().mean()[0]


def middle(mask: Tensor, values: Tensor) -> Tensor:
    """A point near the mean of each column, to centre a batch with; 0 where nothing counts. [B, G] becomes [G]."""
    number = mask.sum(0)
    return torch.where(number > 0, kept(mask, values).sum(0) / number.clamp(min=1), 0.0)


def raw_sums(mask: Tensor, values: Tensor, pivot: Tensor) -> tuple[Wide, Wide]:
    """Sum of x and sum of x * x, from what is left of x beside `pivot`."""
    rest = kept(mask, values - pivot)
    number = mask.sum(0).to(torch.float64)
    first = Wide.product(number, pivot) + summed(rest)
    return first, raw_product(rest, rest, pivot, pivot, number)


def raw_product(left: Tensor, right: Tensor, left_pivot: Tensor, right_pivot: Tensor, number: Tensor) -> Wide:
    """Sum of x * y for x = left_pivot + left, y = right_pivot + right; the rests are 0 where masked."""
    pivots = Wide.product(left_pivot, right_pivot) * Wide.of(number)
    crossed = Wide.product(left_pivot, right.sum(0)) + Wide.product(right_pivot, left.sum(0))
    return pivots + crossed + summed(left * right)


def centred(left: Wide, right: Wide, product: Wide, number: Tensor) -> Wide:
    """Sum of (x - mean of x) * (y - mean of y) from raw sums."""
    return product - (left * right).over(number)


def is_constant(spread: Wide, raw: Wide) -> Tensor:
    """Whether a sum of squares about the mean is nothing but what rounding left of the raw one."""
    return spread.high <= _CONSTANT * raw.high
