"""Predicted effects against measured ones, beside what two halves of the measurement agree on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError
from evenkeel.metrics.paired import Paired
from evenkeel.metrics.score import Score, Scores
from evenkeel.metrics.statistics import Statistics
from evenkeel.tensors.wide import Wide

_NUM_HALVES = 2
_DIMENSIONS = 2
_BELOW_NOISE = "below noise: the two halves of the measurement agree no better than the declared least ceiling"
_INCOMPLETE = "cells of one kind are missing, or an effect is the same in all features"


@dataclass(frozen=True, slots=True, eq=False)
class GroupSums(Statistics):
    """Number of rows and sum of each feature, for each group: [G] and [G, features]."""

    number: Wide
    sums: Wide

    @classmethod
    def empty(cls, num_groups: int, num_features: int, device: torch.device | str = "cpu") -> GroupSums:
        """Of no data."""
        return cls(Wide.zeros(num_groups, device=device), Wide.zeros(num_groups, num_features, device=device))

    @classmethod
    def of(cls, rows: Tensor, group: Tensor, num_groups: int) -> GroupSums:
        """Sums of rows [B, features], each of the group (int64 [B]) it belongs to.

        Raises:
            UsageError: shapes that do not fit.
        """
        if rows.dim() != _DIMENSIONS or group.shape != rows.shape[:1]:
            raise UsageError(
                f"rows come as [B, features] with a group each, not {list(rows.shape)}, {list(group.shape)}"
            )
        values = rows.detach().to(torch.float64)
        number = torch.zeros(num_groups, dtype=torch.float64, device=rows.device)
        ones = torch.ones(len(rows), dtype=torch.float64, device=rows.device)
        sums = torch.zeros(num_groups, rows.shape[1], dtype=torch.float64, device=rows.device)
        return cls(Wide.of(number.index_add(0, group, ones)), Wide.of(sums.index_add(0, group, values)))

    def over_halves(self) -> GroupSums:
        """Groups 2 i and 2 i + 1 as one."""
        number = self.number.high.reshape(-1, _NUM_HALVES).sum(1)
        sums = self.sums.high.reshape(len(number), _NUM_HALVES, -1).sum(1)
        return GroupSums(Wide.of(number), Wide.of(sums))

    def means(self) -> Tensor:
        """Mean of each feature in each group, float64 [G, features]; NaN without rows."""
        return self.sums.high / self.number.high[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class PearsonDelta(Statistics):
    """Means of predicted, perturbed and control cells, for the correlation of effects over features (genes).

    The effect of a condition is its mean minus the mean of the controls. Its ceiling comes from two halves of the
    measured cells, each with **its own half of the controls**: halves that share their controls share the noise of
    these too, and agree where there is no effect at all. Which half a cell belongs to follows from its number
    (`half_of`), so that it does not depend on ranks or batches.

    Args (settings):
        num_conditions: how many there are.
        least_ceiling: agreement of the halves below which a condition has no measurable effect, and so no score.

    Error: 1e-13 of the means. Memory: 16 bytes for (3 * conditions + 2) * features numbers.
    """

    num_conditions: int
    least_ceiling: float
    predicted: GroupSums
    measured: GroupSums  # group 2 * condition + half
    control: GroupSums  # group half

    @classmethod
    def empty(
        cls, num_conditions: int, num_features: int, least_ceiling: float, device: torch.device | str = "cpu"
    ) -> PearsonDelta:
        """Of no data.

        Raises:
            UsageError: a `least_ceiling` that is no correlation.
        """
        if not -1.0 <= least_ceiling <= 1.0:
            raise UsageError(f"the least ceiling is a correlation, from -1 to 1, not {least_ceiling}")
        groups = (num_conditions, _NUM_HALVES * num_conditions, _NUM_HALVES)
        return cls(num_conditions, least_ceiling, *(GroupSums.empty(g, num_features, device) for g in groups))

    def with_predicted(self, cells: Tensor, condition: Tensor) -> PearsonDelta:
        """Add generated cells [B, features] of conditions int64 [B]; gives new statistics, as the others do."""
        return self._with(predicted=GroupSums.of(cells, condition, self.num_conditions))

    def with_measured(self, cells: Tensor, condition: Tensor, half: Tensor) -> PearsonDelta:
        """Add measured cells [B, features], with their half (0 or 1, int64 [B]).

        Raises:
            IndexError or RuntimeError: a condition or half that is none; torch's words.
        """
        # a third half must not become the first of the next condition
        group = torch.where((half == 0) | (half == 1), _NUM_HALVES * condition + half, -1)
        return self._with(measured=GroupSums.of(cells, group, _NUM_HALVES * self.num_conditions))

    def with_control(self, cells: Tensor, half: Tensor) -> PearsonDelta:
        """Add control cells [B, features], with their half."""
        return self._with(control=GroupSums.of(cells, half, _NUM_HALVES))

    def ceiling(self) -> Scores:
        """Pearson's correlation of the effects in the two halves, for each condition: split-half reliability."""
        measured, control = self.measured, self.control
        effects = measured.means().reshape(self.num_conditions, _NUM_HALVES, -1) - control.means()
        present = measured.number.high.reshape(self.num_conditions, _NUM_HALVES) * control.number.high > 0
        return _correlated(effects[:, 0], effects[:, 1], present.all(1))

    def correlation(self) -> Scores:
        """Pearson's correlation over features of predicted and measured effects, for each condition.

        Undefined where the ceiling is undefined or below `least_ceiling`: there is no effect to predict.
        """
        control, measured = self.control.over_halves(), self.measured.over_halves()
        present = (self.predicted.number.high > 0) & (measured.number.high > 0) & (control.number.high > 0)
        effect = measured.means() - control.means()
        found, ceiling = _correlated(self.predicted.means() - control.means(), effect, present), self.ceiling()
        noise = (ceiling.values < self.least_ceiling) & (ceiling.bad == 0)
        whys = (
            _BELOW_NOISE if bool(noise.any()) else "",
            _INCOMPLETE if bool((found.lacking | ceiling.lacking).any()) else "",
        )
        lacking = found.lacking | ceiling.lacking | noise
        return Scores(
            values=torch.where(lacking, torch.nan, found.values),
            lacking=lacking,
            counted=found.counted,
            masked=found.masked,
            bad=found.bad,
            why="; ".join(filter(None, whys)),
            unit="1",
            groups="conditions",
        )

    def score(self) -> Score:
        """The mean correlation over conditions that have a measurable effect."""
        return self.correlation().mean()

    def _with(
        self,
        predicted: GroupSums | None = None,
        measured: GroupSums | None = None,
        control: GroupSums | None = None,
    ) -> PearsonDelta:
        sums = [
            own if new is None else own.merge(new)
            for own, new in ((self.predicted, predicted), (self.measured, measured), (self.control, control))
        ]
        return PearsonDelta(self.num_conditions, self.least_ceiling, *sums)


def half_of(numbers: Tensor) -> Tensor:
    """0 or 1 for each cell number (int64), as good as drawn by lot, and the same on every rank.

    Source: the finaliser of MurmurHash3 (Appleby), the lowest bit.
    """
    mixed = numbers.long()
    for factor in (-49064778989728563, -4265267296055464877):
        mixed = (mixed ^ ((mixed >> 33) & 0x7FFFFFFF)) * factor
    return (mixed ^ ((mixed >> 33) & 0x7FFFFFFF)) & 1


def _correlated(left: Tensor, right: Tensor, present: Tensor) -> Scores:
    """Pearson's correlation of each row of [conditions, features] with the row beside it, where there are cells."""
    without = ~present[:, None].expand_as(left).T
    found = Paired.of(torch.where(without, 0.0, left.T), torch.where(without, 0.0, right.T)).pearson()
    return Scores(
        values=found.values,
        lacking=found.lacking,
        counted=found.counted,
        masked=found.masked,
        bad=found.bad,
        why=_INCOMPLETE,
        unit="1",
        groups="conditions",
    )


def full_from_halves(agreement: float) -> float:
    """What two measurements of full size would agree on, from what halves agree on; NaN at -1 and below.

    Source: Spearman (1910), Brown (1910).
    """
    return 2.0 * agreement / (1.0 + agreement) if agreement > -1.0 else math.nan
