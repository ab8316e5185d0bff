"""How well predictions go with targets: correlation, concordance, explained variance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.metrics.batch import Population, columns, kept, whole
from evenkeel.metrics.moments import centred, is_constant, middle, raw_product, raw_sums
from evenkeel.metrics.score import Score, Scores
from evenkeel.metrics.statistics import Statistics
from evenkeel.tensors.wide import Wide


@dataclass(frozen=True, slots=True, eq=False)
class Paired(Statistics):
    """Sums of prediction x, target y, x * x, y * y and x * y for each group [G].

    Error and domain: those of `Moments`. Memory: 128 bytes a group.
    """

    population: Population
    x: Wide
    y: Wide
    xx: Wide
    yy: Wide
    xy: Wide

    @classmethod
    def empty(cls, num_groups: int = 1, device: torch.device | str = "cpu") -> Paired:
        """Of no data."""
        zeros = Wide.zeros(num_groups, device=device)
        return cls(Population.empty(num_groups, device), zeros, zeros, zeros, zeros, zeros)

    @classmethod
    def of(cls, prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Paired:
        """Of one batch, [B] or [B, G] each; `mask` bool of the same shape. No sync.

        Raises:
            UsageError: shapes or dtypes that do not fit.
        """
        mask, (x, y) = columns(mask, prediction, target)
        near_x, near_y = middle(mask, x), middle(mask, y)
        number = mask.sum(0).to(torch.float64)
        sum_x, sum_xx = raw_sums(mask, x, near_x)
        sum_y, sum_yy = raw_sums(mask, y, near_y)
        sum_xy = raw_product(kept(mask, x - near_x), kept(mask, y - near_y), near_x, near_y, number)
        usable = torch.isfinite(x) & torch.isfinite(y)
        return cls(Population.of(mask, usable), sum_x, sum_y, sum_xx, sum_yy, sum_xy)

    def pooled(self) -> Paired:
        """All groups as one, as if the batch had been flattened."""
        sums = (whole(part) for part in (self.x, self.y, self.xx, self.yy, self.xy))
        return Paired(self.population.pooled(), *sums)

    def pearson(self) -> Scores:
        """Pearson's correlation; undefined for fewer than two elements, and where either side is constant.

        A constant prediction has no correlation, not one of 0. Rounding may carry a perfect one an ulp or two past 1.
        """
        spread = self._spread()
        # slope times ratio of spreads: neither overflows, and equal spreads cancel to the bit
        value = spread.xy.high / spread.xx.high * (spread.xx.high / spread.yy.high).sqrt()
        lacking = (self._number() <= 1) | is_constant(spread.xx, self.xx) | is_constant(spread.yy, self.yy)
        return self.population.scores(value, lacking, "fewer than two elements, or one side is constant", "1")

    def concordance(self) -> Scores:
        """Lin's concordance correlation, 2 cov / (var x + var y + (mean x - mean y)^2), variances divided by n.

        0 where one side is constant and the other is not; undefined where both are the same constant, and without
        elements. Source: Lin (1989), Biometrics 45.
        """
        spread, number = self._spread(), self._number()
        apart = self.x - self.y
        below = spread.xx + spread.yy + (apart * apart).over(number)
        value = 2.0 * spread.xy.high / below.high
        lacking = (number == 0) | is_constant(below, self.xx + self.yy)
        return self.population.scores(value, lacking, "no elements, or both sides are the same constant", "1")

    def explained(self) -> Scores:
        """R2 = 1 - sum (y - x)^2 / sum (y - mean y)^2: skill over predicting the mean of these targets.

        Below 0 where the mean is better. Undefined for fewer than two elements and for constant targets.
        """
        spread = self._spread()
        wrong = self.xx + self.yy - self.xy - self.xy
        lacking = (self._number() <= 1) | is_constant(spread.yy, self.yy)
        return self.population.scores(
            1.0 - wrong.high / spread.yy.high, lacking, "fewer than two elements, or constant targets", "1"
        )

    def score(self) -> Score:
        """Concordance over all elements of all groups."""
        return self.pooled().concordance()[0]

    def _number(self) -> Tensor:
        return self.population.counted.high

    def _spread(self) -> Spread:
        number = self._number()
        return Spread(
            centred(self.x, self.x, self.xx, number),
            centred(self.y, self.y, self.yy, number),
            centred(self.x, self.y, self.xy, number),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Sums of squares and products about the means."""

    xx: Wide
    yy: Wide
    xy: Wide
