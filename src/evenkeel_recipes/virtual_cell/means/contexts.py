"""What a treatment does to a type in which it was never seen, from the types in which it was."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evenkeel_recipes.virtual_cell.means.profiles import Array, Profiles

SILENT = 0.05  # counts per 10,000 below which a ratio means nothing
STIFF = 0.5  # in squared units of log1p counts per 10,000: how far levels must lie apart before a slope counts


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Mean profiles of types that have a treatment and controls: before and after it, each [types, genes]."""

    before: Array
    after: Array

    def shifted(self) -> Array:
        """Mean change [genes]."""
        return np.asarray((self.after - self.before).mean(0))

    def scaled(self, own: Array) -> Array:
        """Change of a type with levels `own` [genes] if counts are multiplied: what is silent there stays silent."""
        factor = (np.expm1(self.after).mean(0) + SILENT) / (np.expm1(self.before).mean(0) + SILENT)
        after = (np.expm1(own) + SILENT) * factor - SILENT
        return np.asarray(np.log1p(np.maximum(after, 0.0)) - own)  # no gene has fewer counts than none

    def sloping(self, own: Array) -> Array:
        """What a change has beyond the mean one because the level before was another [genes].

        By ridge regression of changes on levels, gene by gene, over the types.
        """
        middle = self.before.mean(0)
        apart = self.before - middle
        slope = (apart * (self.after - self.before)).sum(0) / ((apart**2).sum(0) + STIFF)
        return np.asarray(slope * (own - middle))


def elsewhere(profiles: Profiles, control: int, treatment: int, cell_type: int) -> Elsewhere | None:
    """The other types that have this treatment and controls; None where there is none."""
    rows = [
        (base, row)
        for row in np.flatnonzero((profiles.treatment == treatment) & (profiles.cell_type != cell_type))
        if (base := profiles.find(control, int(profiles.cell_type[row]))) is not None
    ]
    if not rows:
        return None
    before, after = (profiles.mean[list(places), :-1] for places in zip(*rows, strict=True))
    return Elsewhere(before, after)


def levelled(profiles: Profiles, control: int) -> Profiles:
    """Profiles without what changes owe to the level before: as if controls of all types were alike."""
    mean = profiles.mean.copy()
    for row, (treatment, kind) in enumerate(zip(profiles.treatment, profiles.cell_type, strict=True)):
        base = profiles.find(control, int(kind))
        everywhere = None if treatment == control else elsewhere(profiles, control, int(treatment), -1)
        if base is not None and everywhere is not None:
            mean[row, :-1] -= everywhere.sloping(profiles.mean[base, :-1])
    return replace(profiles, mean=mean)
