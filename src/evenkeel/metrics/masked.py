"""Means over what a mask leaves, and ratios of sums: a loss, a share, anything that batches must not average."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.metrics.batch import Population, columns, kept, summed, whole
from evenkeel.metrics.moments import NO_ELEMENTS
from evenkeel.metrics.score import Score, Scores
from evenkeel.metrics.statistics import Statistics
from evenkeel.tensors.wide import Wide


@dataclass(frozen=True, slots=True, eq=False)
class MaskedMean(Statistics):
    """Number and sum of the values of each group [G] that the mask leaves.

    Error: 1e-15 of the mean of the magnitudes. Memory: 64 bytes a group.
    """

    population: Population
    sum: Wide

    @classmethod
    def empty(cls, num_groups: int = 1, device: torch.device | str = "cpu") -> MaskedMean:
        """Of no data."""
        return cls(Population.empty(num_groups, device), Wide.zeros(num_groups, device=device))

    @classmethod
    def of(cls, values: Tensor, mask: Tensor | None = None) -> MaskedMean:
        """Of one batch [B] or [B, G], `mask` bool of the same shape. What the mask leaves out may be NaN. No sync.

        Raises:
            UsageError: shapes or dtypes that do not fit.
        """
        mask, (x,) = columns(mask, values)
        return cls(Population.of(mask, torch.isfinite(x)), summed(kept(mask, x)))

    def pooled(self) -> MaskedMean:
        """All groups as one."""
        return MaskedMean(self.population.pooled(), whole(self.sum))

    def mean(self) -> Scores:
        """Sum over number of each group; undefined without elements."""
        number = self.population.counted.high
        return self.population.scores(self.sum.over(number).high, number == 0, NO_ELEMENTS, "1")

    def score(self) -> Score:
        """The mean over all elements of all groups."""
        return self.pooled().mean()[0]


@dataclass(frozen=True, slots=True, eq=False)
class Ratio(Statistics):
    """Sums of numerators and denominators of each group [G]: a loss per token, a share of positives.

    Memory: 80 bytes a group.
    """

    population: Population
    above: Wide
    below: Wide

    @classmethod
    def empty(cls, num_groups: int = 1, device: torch.device | str = "cpu") -> Ratio:
        """Of no data."""
        zeros = Wide.zeros(num_groups, device=device)
        return cls(Population.empty(num_groups, device), zeros, zeros)

    @classmethod
    def of(cls, numerator: Tensor, denominator: Tensor, mask: Tensor | None = None) -> Ratio:
        """Of one batch, [B] or [B, G] each; `mask` bool of the same shape. No sync.

        Raises:
            UsageError: shapes or dtypes that do not fit.
        """
        mask, (above, below) = columns(mask, numerator, denominator)
        usable = torch.isfinite(above) & torch.isfinite(below)
        return cls(Population.of(mask, usable), summed(kept(mask, above)), summed(kept(mask, below)))

    def pooled(self) -> Ratio:
        """All groups as one."""
        return Ratio(self.population.pooled(), whole(self.above), whole(self.below))

    def ratio(self) -> Scores:
        """Sum of numerators over sum of denominators; undefined where the latter is 0."""
        below = self.below.high
        return self.population.scores(self.above.high / below, below == 0, "the denominators sum to 0", "1")

    def score(self) -> Score:
        """The ratio over all groups."""
        return self.pooled().ratio()[0]
