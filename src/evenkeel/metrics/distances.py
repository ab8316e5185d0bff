"""Distances between two sets of samples: energy distance and maximum mean discrepancy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError
from evenkeel.metrics.score import Score, undefined
from evenkeel.metrics.statistics import Rows, Statistics

_BLOCK = 1024
_LEAST = 2
_DIMENSIONS = 2
OfDistances = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class TwoSamples(Statistics):
    """All samples of two sets, such as generated and real cells.

    No smaller statistics would do: each pair of samples counts, also pairs from two ranks. So the samples are gathered,
    and a mean of per-rank distances, which is another quantity, has no place. Both estimates are U-statistics:
    unbiased, 0 on average for two sets of one distribution, and therefore below 0 about half of the time there.

    Memory: 8 bytes a number on each rank, for all samples of all ranks; 8 MB for a block of distances. Time: n^2 * d.
    """

    first: Rows
    second: Rows

    @classmethod
    def empty(cls, num_features: int) -> TwoSamples:
        """Of no data."""
        return cls(Rows(num_features), Rows(num_features))

    @classmethod
    def of(cls, first: Tensor, second: Tensor) -> TwoSamples:
        """Of one batch of each, [n, features] and [m, features]; either may have no rows.

        Raises:
            UsageError: no matrices, or different numbers of features.
        """
        if first.dim() != _DIMENSIONS or second.dim() != _DIMENSIONS or first.shape[1] != second.shape[1]:
            raise UsageError(
                f"two sets of samples come as [n, features] and [m, features], not {list(first.shape)} and "
                f"{list(second.shape)}"
            )
        return cls(Rows.of(first), Rows.of(second))

    def energy(self) -> Score:
        """2 E|x - y| - E|x - x'| - E|y - y'| with plain Euclidean norms.

        With squared norms it would be twice the squared distance of the means, and blind to everything else.
        Source: Szekely and Rizzo (2013), https://doi.org/10.1016/j.jspi.2013.03.018.
        """
        return self._compared(lambda distance: distance, sign=-1.0, unit="feature units")

    def mmd(self, bandwidths: Sequence[float]) -> Score:
        """MMD^2 with the mean of Gaussian kernels exp(-|x - y|^2 / (2 s^2)), one for each bandwidth s.

        Raises:
            UsageError: no bandwidth, or one that is not positive. `median_distance` gives the usual scale.

        Source: Gretton et al. (2012), eq. 3.
        """
        if not bandwidths or not all(0.0 < s < math.inf for s in bandwidths):
            raise UsageError(f"bandwidths are positive numbers, at least one; these are {list(bandwidths)}")

        def kernel(distance: Tensor) -> Tensor:
            return torch.stack([torch.exp(-(distance**2) / (2.0 * s * s)) for s in bandwidths]).mean(0)

        return self._compared(kernel, sign=1.0, unit="1")

    def median_distance(self) -> Score:
        """The median distance between two different samples of the second set, to scale bandwidths with.

        Memory: n^2 / 2 distances at once.
        """
        rows = self.second.in_order()
        if len(rows) < _LEAST:
            return undefined("feature units", "samples", "fewer than two samples", missing=len(rows))
        middle = float(torch.pdist(rows).sort().values[len(rows) * (len(rows) - 1) // 4])
        return Score(value=middle, unit="feature units", of="samples", counted=len(rows))

    def score(self) -> Score:
        """The energy distance."""
        return self.energy()

    def _compared(self, kernel: OfDistances, sign: float, unit: str) -> Score:
        x, y = self.first.in_order(), self.second.in_order()
        num = len(x) + len(y)
        if min(len(x), len(y)) < _LEAST:
            return undefined(unit, "samples", "fewer than two samples on one side", missing=num)
        num_bad = int((~torch.isfinite(x)).any(1).sum() + (~torch.isfinite(y)).any(1).sum())
        if num_bad:
            return undefined(unit, "samples", f"{num_bad:,} samples hold values that are not finite", missing=num)
        within = _within(x, kernel) + _within(y, kernel)
        value = sign * (within - 2.0 * _total(x, y, kernel) / (len(x) * len(y)))
        return Score(value=value, unit=unit, of="samples", counted=num)


def _within(x: Tensor, kernel: OfDistances) -> float:
    """The mean over pairs of different samples."""
    own = float(kernel(torch.zeros(1, dtype=torch.float64))) * len(x)
    return (_total(x, x, kernel) - own) / (len(x) * (len(x) - 1))


def _total(x: Tensor, y: Tensor, kernel: OfDistances) -> float:
    """The sum over all pairs, block by block, and exactly rounded over blocks."""
    sums = []
    for left in torch.split(x, _BLOCK):
        for right in torch.split(y, _BLOCK):
            # the faster way by matrix products loses half of the digits of small distances
            distance = torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist")
            sums.append(float(kernel(distance).sum()))
    return math.fsum(sums)
