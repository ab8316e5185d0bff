"""How far predictions lie from targets, and whether that is less than a baseline's distance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError
from evenkeel.metrics.batch import Population, columns, kept, summed, whole
from evenkeel.metrics.moments import NO_ELEMENTS
from evenkeel.metrics.score import Score, Scores
from evenkeel.metrics.statistics import Statistics
from evenkeel.tensors.wide import Wide

_NO_BASELINE_ERROR = "no elements, or a baseline without error"


@dataclass(frozen=True, slots=True, eq=False)
class Errors(Statistics):
    """Sums of |e|, e * e and e = prediction - target for each group [G].

    A baseline is nothing but other predictions for the same targets: `torch.full_like(target, 1 / k)` for a constant,
    the mean of the **training** targets for a mean predictor. For the mean of the targets at hand see
    `Paired.explained`.

    Error: 1e-15 of MAE and RMSE. Memory: 96 bytes a group.
    """

    population: Population
    absolute: Wide
    square: Wide
    signed: Wide

    @classmethod
    def empty(cls, num_groups: int = 1, device: torch.device | str = "cpu") -> Errors:
        """Of no data."""
        zeros = Wide.zeros(num_groups, device=device)
        return cls(Population.empty(num_groups, device), zeros, zeros, zeros)

    @classmethod
    def of(cls, prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Errors:
        """Of one batch, [B] or [B, G] each; `mask` bool of the same shape. No sync.

        Raises:
            UsageError: shapes or dtypes that do not fit.
        """
        mask, (x, y) = columns(mask, prediction, target)
        wrong = kept(mask, x - y)
        sums = (summed(term) for term in (wrong.abs(), wrong * wrong, wrong))
        return cls(Population.of(mask, torch.isfinite(x - y)), *sums)

    def pooled(self) -> Errors:
        """All groups as one."""
        return Errors(self.population.pooled(), whole(self.absolute), whole(self.square), whole(self.signed))

    def mae(self) -> Scores:
        """Mean absolute error, in units of the target; undefined without elements."""
        return self._scores(self.absolute.over(self._number()).high, "target units")

    def rmse(self) -> Scores:
        """Root of the mean square error, in units of the target; undefined without elements."""
        return self._scores(self.square.over(self._number()).high.sqrt(), "target units")

    def bias(self) -> Scores:
        """Mean of prediction - target."""
        return self._scores(self.signed.over(self._number()).high, "target units")

    def mae_skill(self, baseline: Errors) -> Scores:
        """1 - MAE / MAE of the baseline: 1 is perfect, 0 no better than the baseline, below 0 worse.

        Undefined where the baseline makes no error.

        Raises:
            UsageError: the baseline was not measured on the same elements.
        """
        return self._skill(self.absolute, baseline.absolute, baseline)

    def rmse_skill(self, baseline: Errors) -> Scores:
        """1 - RMSE / RMSE of the baseline; see `mae_skill`."""
        return self._skill(self.square, baseline.square, baseline, power=0.5)

    def score(self) -> Score:
        """MAE over all elements of all groups."""
        return self.pooled().mae()[0]

    def _number(self) -> Tensor:
        return self.population.counted.high

    def _scores(self, value: Tensor, unit: str) -> Scores:
        return self.population.scores(value, self._number() == 0, NO_ELEMENTS, unit)

    def _skill(self, own: Wide, other: Wide, baseline: Errors, power: float = 1.0) -> Scores:
        if not torch.equal(self._number(), baseline.population.counted.high):
            raise UsageError("a skill compares errors on the same elements; the baseline counts other numbers of them")
        value = 1.0 - (own.high / other.high) ** power
        return self.population.scores(value, other.high == 0, _NO_BASELINE_ERROR, "1")
