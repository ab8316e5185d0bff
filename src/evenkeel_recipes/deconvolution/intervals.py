"""Intervals that hold the truth nine times in ten, from what was left over on samples nobody trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEVEL = 0.9
PRIOR = 0.01  # variance of a fraction near 0 or 1, beside p·(1 - p)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How wide intervals are.

    Attributes:
        widths: [levels of misfit, types], half-widths in units of sqrt(p·(1 - p) + 0.01).
        edges: [levels - 1], ascending: which level a sample's misfit is in.
    """

    widths: Array
    edges: Array


def calibrate(estimate: Array, truth: Array, misfit: Array, levels: int) -> Calibration:
    """Split conformal: of each type and level of misfit, the quantile of the residuals that covers 90 % of new ones.

    Args:
        estimate: [samples, types], of samples that were not trained on.
        truth: the same shape.
        misfit: [samples].
        levels: how many groups of equal size the misfit is cut into.

    Holds where new samples are exchangeable with these (J. Lei et al., 2018).
    """
    edges = np.quantile(misfit, np.arange(1, levels) / levels)
    level = np.searchsorted(edges, misfit)
    scaled = np.abs(estimate - truth) / _unit(estimate)
    return Calibration(np.stack([_quantile(scaled[level == place]) for place in range(levels)]), edges)


def interval(estimate: Array, misfit: Array, calibration: Calibration) -> tuple[Array, Array]:
    """Lower and upper ends, [samples, types] each, within 0 and 1."""
    width = calibration.widths[np.searchsorted(calibration.edges, misfit)] * _unit(estimate)
    return np.maximum(estimate - width, 0), np.minimum(estimate + width, 1)


def _unit(estimate: Array) -> Array:
    return np.asarray(np.sqrt(estimate * (1 - estimate) + PRIOR))


def _quantile(scaled: Array) -> Array:
    rank = min(int(np.ceil((len(scaled) + 1) * LEVEL)), len(scaled))
    return np.asarray(np.sort(scaled, axis=0)[rank - 1])
