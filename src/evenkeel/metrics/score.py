"""A number and the population behind it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from evenkeel.core.words import number


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One value, what it is measured in, and over how many members of which population it stands.

    Args:
        value: NaN where it is undefined; infinite where the definition gives that (the PSNR of identical images).
        unit: "bits/spike", "dB"; "1" for a pure number.
        of: what is counted: "elements", "cells", "images".
        counted: members that stand behind the value.
        undefined: members that have no value, for the reason given.
        masked: members that the caller's mask left out.
        reason: why the value is undefined or not finite, or why members are; "" where there is nothing to say.
        error: the largest distance from the exact value, where a sketch was asked; 0 where the value is exact.
    """

    value: float
    unit: str
    of: str
    counted: int
    undefined: int = 0
    masked: int = 0
    reason: str = ""
    error: float = 0.0

    @property
    def is_defined(self) -> bool:
        """Whether there is a value."""
        return not math.isnan(self.value)

    @property
    def total(self) -> int:
        """The whole population."""
        return self.counted + self.undefined + self.masked

    @property
    def coverage(self) -> float:
        """The share of the population behind the value; NaN where there is no population."""
        return self.counted / self.total if self.total else math.nan

    def __str__(self) -> str:
        """`0.312 bits/spike over 57 of 60 cells (3 undefined: no spikes)`."""
        unit = "" if self.unit == "1" else f" {self.unit}"
        value = f"{number(self.value)}{unit}" if self.is_defined else "undefined"
        doubt = f" ± {number(self.error)}" if self.error else ""
        left_out = [f"{n:,} {why}" for n, why in ((self.undefined, "undefined"), (self.masked, "masked")) if n]
        notes = ", ".join(left_out) + (": " if left_out and self.reason else "") + self.reason
        return f"{value}{doubt} over {self.counted:,} of {self.total:,} {self.of}{f' ({notes})' if notes else ''}"


def undefined(unit: str, of: str, reason: str, *, counted: int = 0, missing: int = 0) -> Score:
    """No value, and why. `missing` members are those that have none."""
    return Score(value=math.nan, unit=unit, of=of, counted=counted, undefined=missing, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """One value for each group (cell, gene, type).

    Args:
        values: float64 [G] on the CPU; NaN where undefined.
        lacking: bool [G]; True where the group has no value by definition (a cell without spikes).
        counted: int64 [G]; elements behind each value.
        masked: int64 [G]; elements of the group that the mask left out.
        bad: int64 [G]; elements of each group that were not finite, or outside the domain of the metric.
        why: the reason for `lacking`.
        unit: as in `Score`.
        groups: what a group is.
    """

    values: Tensor
    lacking: Tensor
    counted: Tensor
    masked: Tensor
    bad: Tensor
    why: str
    unit: str
    groups: str = "groups"

    def __getitem__(self, group: int) -> Score:
        """The score of one group, over its elements."""
        number, is_lacking = int(self.counted[group]), bool(self.lacking[group])
        reason = _bad(int(self.bad[group])) or (self.why if is_lacking else "")
        return Score(
            value=float(self.values[group]),
            unit=self.unit,
            of="elements",
            counted=0 if is_lacking else number,
            undefined=number if is_lacking else 0,
            masked=int(self.masked[group]),
            reason=reason,
        )

    def mean(self) -> Score:
        """The mean over groups that have a value, each counting once.

        Groups that lack one by definition are left out and counted as undefined. A group with bad elements is not left
        out: it makes the mean NaN, or infinite.
        """
        return self._over(lambda values: float(values.mean()), self.unit)

    def median(self) -> Score:
        """The median over groups that have a value; the mean of the two in the middle for an even number."""
        return self._over(_middle, self.unit)

    def share_below(self, bar: float) -> Score:
        """The share of groups whose value is below `bar`, among those that have one."""
        return self._over(lambda values: float((values < bar).double().mean()), "1")

    def _over(self, closed: Callable[[Tensor], float], unit: str) -> Score:
        missing, counted = int(self.lacking.sum()), int((~self.lacking).sum())
        if counted == 0:
            return undefined(unit, self.groups, self.why or "there are none", missing=missing)
        values = self.values[~self.lacking]
        num_bad = int(self.bad[~self.lacking].sum())
        value = math.nan if bool(values.isnan().any()) else closed(values)
        reason = _bad(num_bad) or (self.why if missing else "")
        return Score(value=value, unit=unit, of=self.groups, counted=counted, undefined=missing, reason=reason)


def _middle(values: Tensor) -> float:
    """The median; torch's own makes NaN of two equal infinities, and takes the lower of two finite values."""
    ordered = values.sort().values
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2.0


def _bad(num: int) -> str:
    return f"{num:,} elements are not finite, or outside the domain" if num else ""
