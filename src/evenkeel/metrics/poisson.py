"""Predicted rates against counts: bits per spike, deviance, calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.metrics.batch import Population, columns, kept, summed, whole
from evenkeel.metrics.score import Score, Scores
from evenkeel.metrics.statistics import Statistics
from evenkeel.tensors.wide import Wide

_BITS = 1.0 / math.log(2.0)
_NO_SPIKES = "no spikes"
_NO_BINS = "no bins"


@dataclass(frozen=True, slots=True, eq=False)
class PoissonFit(Statistics):
    """Bins, spikes, log-likelihood, expected spikes, deviance and entropy of each cell [G].

    The null model knows the rate of each cell over **all** its bins here, whichever rank or batch they came in; so a
    cell that is silent in one batch is no special case, and one that is silent everywhere has no bits per spike.

    Error: 1e-13 of the log-likelihood per spike; bits per spike near 0 are differences of two such.
    Memory: 128 bytes a cell.
    """

    population: Population
    spikes: Wide
    fit: Wide  # sum of y log r - r
    expected: Wide  # sum of r
    deviance: Wide  # sum of y log(y / r) - (y - r), each term >= 0
    entropy: Wide  # sum of y log y

    @classmethod
    def empty(cls, num_cells: int, device: torch.device | str = "cpu") -> PoissonFit:
        """Of no data."""
        zeros = Wide.zeros(num_cells, device=device)
        return cls(Population.empty(num_cells, device), zeros, zeros, zeros, zeros, zeros)

    @classmethod
    def of(cls, rates: Tensor, counts: Tensor, mask: Tensor | None = None) -> PoissonFit:
        """Of one batch: expected counts per bin and counts, [B] or [B, G]; `mask` bool of the same shape. No sync.

        A rate of 0 where there are spikes is infinitely wrong: the value becomes -inf. Negative rates or counts, and
        what is not finite, count as bad and make the cell's values NaN.

        Raises:
            UsageError: shapes or dtypes that do not fit.
        """
        mask, (r, y) = columns(mask, rates, counts)
        return cls._of(mask, r, torch.where(y == 0, 0.0, y * torch.log(r)), y, (r >= 0) & torch.isfinite(r))

    @classmethod
    def of_log_rates(cls, log_rates: Tensor, counts: Tensor, mask: Tensor | None = None) -> PoissonFit:
        """The same from logarithms of rates, which stay exact where a rate is too small for its dtype."""
        mask, (eta, y) = columns(mask, log_rates, counts)
        r = torch.exp(eta)
        return cls._of(mask, r, torch.where(y == 0, 0.0, y * eta), y, ~torch.isnan(eta) & torch.isfinite(r))

    @classmethod
    def _of(cls, mask: Tensor, r: Tensor, y_log_r: Tensor, y: Tensor, usable: Tensor) -> PoissonFit:
        usable = usable & (y >= 0) & torch.isfinite(y)
        entropy = torch.special.xlogy(y, y)
        terms = (y, y_log_r - r, r, entropy - y_log_r - (y - r), entropy)
        sums = (summed(kept(mask, torch.where(usable, term, torch.nan))) for term in terms)
        return cls(Population.of(mask, usable), *sums)

    def pooled(self) -> PoissonFit:
        """All cells as one, with one null rate for all of them. For the pooled score of an article see `score`."""
        sums = (whole(part) for part in (self.spikes, self.fit, self.expected, self.deviance, self.entropy))
        return PoissonFit(self.population.pooled(), *sums)

    def bits_per_spike(self) -> Scores:
        """(L - L of the null) / (spikes * ln 2) for each cell; below 0 where the null is better, and never clamped.

        Undefined for cells without spikes.
        """
        spikes = self.spikes.high
        value = (self.fit.high - self._null()) / spikes * _BITS
        return self.population.scores(value, spikes == 0, _NO_SPIKES, "bits/spike", "cells")

    def deviance_per_bin(self) -> Scores:
        """Mean Poisson deviance 2 (y log(y / r) - (y - r)) of each cell; 0 for rates that equal the counts."""
        number = self.population.counted.high
        return self.population.scores(2.0 * self.deviance.high / number, number == 0, _NO_BINS, "nats/bin", "cells")

    def deviance_explained(self) -> Scores:
        """1 - deviance / deviance of the null, for each cell; undefined where the null is already perfect."""
        null = self.entropy.high - self._null() - self.spikes.high
        lacking = (self.spikes.high == 0) | (null <= 1e-12 * self.entropy.high.abs())
        why = "no spikes, or the same count in each bin"
        return self.population.scores(1.0 - self.deviance.high / null, lacking, why, "1", "cells")

    def calibration(self) -> Scores:
        """Spikes over expected spikes, for each cell; undefined where none were expected."""
        expected = self.expected.high
        return self.population.scores(self.spikes.high / expected, expected == 0, "no spikes expected", "1", "cells")

    def score(self) -> Score:
        """Bits per spike over all cells together, each with its own null rate: the definition of the NLB.

        Cells without spikes count, with what was expected of them; cells without bins have nothing to say.
        """
        gain = (self.fit - Wide.of(torch.where(self.population.counted.high > 0, self._null(), 0.0))).total()
        spikes = float(self.spikes.total().high)
        seen = self.population.counted.high > 0
        num_bad = int(self.population.bad.high.sum())
        reason = f"{num_bad:,} elements are not finite, or negative" if num_bad else ""
        num_seen = int(seen.sum())
        return Score(
            value=float(gain.high) / spikes * _BITS if spikes else math.nan,
            unit="bits/spike",
            of="cells",
            counted=num_seen,
            undefined=len(seen) - num_seen,
            reason=reason or (_NO_SPIKES if spikes == 0 else _NO_BINS if num_seen < len(seen) else ""),
        )

    def _null(self) -> Tensor:
        """Log-likelihood of each cell's own mean rate, N log(N / T) - N; 0 for a cell without spikes."""
        spikes, number = self.spikes.high, self.population.counted.high
        of_mean: Tensor = torch.special.xlogy(spikes, spikes / number)
        return of_mean - spikes
