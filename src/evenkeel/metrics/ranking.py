"""How well scores order what they score: AUROC and Spearman's correlation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError
from evenkeel.metrics.batch import columns
from evenkeel.metrics.paired import Paired
from evenkeel.metrics.score import Score, undefined
from evenkeel.metrics.statistics import Rows, Statistics
from evenkeel.tensors.wide import Wide

_ONE_CLASS = "positives or negatives are missing"


@dataclass(frozen=True, slots=True)
class ScoreGrid:
    """Equal cells from `low` to `high`; scores in one cell count as equal.

    A score at the border of two cells belongs to the upper one, `high` to the last.

    Raises:
        UsageError: ends that make no range, or no cells.
    """

    low: float
    high: float
    num_cells: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high and self.num_cells > 0):
            raise UsageError(f"no grid of scores: {self.num_cells} cells from {self.low} to {self.high}")

    def cells(self, scores: Tensor) -> Tensor:
        """Which cell each score is in; -1 outside, and for NaN."""
        steps = torch.arange(1, self.num_cells, dtype=torch.float64, device=scores.device)
        at = torch.bucketize(
            scores.contiguous(), self.low + (self.high - self.low) * steps / self.num_cells, right=True
        )
        return torch.where((scores >= self.low) & (scores <= self.high), at, -1)


@dataclass(frozen=True, slots=True, eq=False)
class GridAuroc(Statistics):
    """Positives and negatives in each cell of a declared grid of scores.

    The AUROC of the scores as the grid sees them is exact, with ties counting half; the distance to that of the scores
    themselves is at most half the share of pairs that share a cell, and stands in the score as its error.

    Memory: 32 bytes a cell, whatever the number of samples.
    """

    grid: ScoreGrid
    positives: Wide
    negatives: Wide
    num_outside: Wide

    @classmethod
    def empty(cls, grid: ScoreGrid, device: torch.device | str = "cpu") -> GridAuroc:
        """Of no data."""
        zeros = Wide.zeros(grid.num_cells, device=device)
        return cls(grid, zeros, zeros, Wide.zeros(1, device=device))

    @classmethod
    def of(cls, scores: Tensor, labels: Tensor, grid: ScoreGrid, mask: Tensor | None = None) -> GridAuroc:
        """Of one batch [B]: scores, labels (bool, or 0 and 1), and a bool mask. No sync.

        Raises:
            UsageError: shapes or dtypes that do not fit.
        """
        mask, (scores, labels) = columns(mask, scores, labels)
        cells = grid.cells(scores)
        inside = mask & (cells >= 0) & ((labels == 0) | (labels == 1))
        at = cells.clamp(min=0).flatten()
        counts = [(inside & (labels == wanted)).double().flatten() for wanted in (1, 0)]
        zeros = torch.zeros(grid.num_cells, dtype=torch.float64, device=scores.device)
        positives, negatives = (Wide.of(zeros.index_add(0, at, count)) for count in counts)
        return cls(grid, positives, negatives, Wide.of((mask & ~inside).double().sum().reshape(1)))

    def score(self) -> Score:
        """AUROC; undefined without positives or without negatives, and where a score lies outside the grid."""
        p, n, outside = self.positives.high, self.negatives.high, int(self.num_outside.high)
        counted = int(p.sum() + n.sum())
        if outside:
            reason = (
                f"{outside:,} scores lie outside {self.grid.low:g} to {self.grid.high:g}, or have no label of 0 or 1"
            )
            return undefined("1", "samples", reason, counted=counted, missing=outside)
        pairs = float(p.sum() * n.sum())
        if pairs == 0:
            return undefined("1", "samples", _ONE_CLASS, missing=counted)
        tied = float((p * n).sum())
        below = n.cumsum(0) - n
        value = (float((p * below).sum()) + tied / 2) / pairs
        return Score(value=value, unit="1", of="samples", counted=counted, error=tied / 2 / pairs)


@dataclass(frozen=True, slots=True, eq=False)
class Auroc(Statistics):
    """Every score with its label: exact, at 16 bytes a sample, gathered on each rank."""

    rows: Rows

    @classmethod
    def empty(cls) -> Auroc:
        """Of no data."""
        return cls(Rows(2))

    @classmethod
    def of(cls, scores: Tensor, labels: Tensor, mask: Tensor | None = None) -> Auroc:
        """Of one batch [B]: scores, labels (bool, or 0 and 1), and a bool mask. With a mask, one sync on a GPU.

        Raises:
            UsageError: shapes or dtypes that do not fit.
        """
        return cls(_pairs(scores, labels, mask))

    def score(self) -> Score:
        """The share of pairs of a positive and a negative that are in order, ties counting half (Mann-Whitney).

        Undefined without positives or negatives, and where a score is NaN or a label is neither 0 nor 1.
        """
        scores, labels = self.rows.in_order().unbind(1)
        num = len(scores)
        num_bad = int((scores.isnan() | ~((labels == 0) | (labels == 1))).sum())
        if num_bad:
            return undefined("1", "samples", f"{num_bad:,} scores are NaN, or have no label of 0 or 1", missing=num)
        positives = int(labels.sum())
        pairs = positives * (num - positives)
        if pairs == 0:
            return undefined("1", "samples", _ONE_CLASS, missing=num)
        above = float(ranks(scores)[labels == 1].sum()) - positives * (positives + 1) / 2
        return Score(value=above / pairs, unit="1", of="samples", counted=num)


@dataclass(frozen=True, slots=True, eq=False)
class Spearman(Statistics):
    """Every pair of values: exact, at 16 bytes a sample, gathered on each rank."""

    rows: Rows

    @classmethod
    def empty(cls) -> Spearman:
        """Of no data."""
        return cls(Rows(2))

    @classmethod
    def of(cls, prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Spearman:
        """Of one batch [B] and a bool mask. With a mask, one sync on a GPU.

        Raises:
            UsageError: shapes or dtypes that do not fit.
        """
        return cls(_pairs(prediction, target, mask))

    def score(self) -> Score:
        """Pearson's correlation of the ranks, ties sharing their mean rank; undefined where one side is constant."""
        rows = self.rows.in_order()
        num_bad = int(rows.isnan().any(1).sum())
        if num_bad:
            return undefined("1", "samples", f"{num_bad:,} samples hold NaN", missing=len(rows))
        x, y = (ranks(column) for column in rows.unbind(1))
        found = Paired.of(x, y).pearson()[0]
        if not found.is_defined:
            return undefined("1", "samples", found.reason, missing=len(rows))
        return Score(value=found.value, unit="1", of="samples", counted=len(rows))


def ranks(values: Tensor) -> Tensor:
    """Ranks from 1, float64 [n]; equal values share their mean rank, a whole or half number."""
    _, group, sizes = torch.unique(values, return_inverse=True, return_counts=True)
    last = sizes.cumsum(0).double()
    mean_ranks: Tensor = last - (sizes.double() - 1.0) / 2.0
    return mean_ranks[group]


def _pairs(left: Tensor, right: Tensor, mask: Tensor | None) -> Rows:
    if left.dim() != 1:
        raise UsageError(f"ranks are of one group, [samples]; these are {list(left.shape)}. Make one for each group")
    everyone, (x, y) = columns(mask, left, right)
    rows = torch.cat([x, y], 1)
    return Rows.of(rows if mask is None else rows[everyone[:, 0]])
