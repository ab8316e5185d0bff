"""Intervals that hold the truth nine times in ten, from what was left over on samples nobody trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenkeel_recipes.deconvolution.likelihoods.likelihood import Fitted

Array = NDArray[np.float64]
MUCH_WORSE = 2.0  # overdispersion, beside the worst of the samples
FEW = 5  # samples, with fewer of which in a level nothing can be said about it
LEVEL = 0.9
USUAL = 0.99  # of samples like the reference are not strange
BIAS = 0.03  # beside sqrt(p·(1 - p) + 0.01): what is wrong with an estimate that no noise explains


@dataclass(frozen=True, slots=True)
class Calibration:
    """How wide intervals are, and what is usual, in groups of samples.

    The first two dimensions are: fitted each by itself, or together; and levels of how foreign the technology is.

    Attributes:
        widths: [2, levels, types], half-widths in units of sqrt(variance + 0.03²·(p·(1 - p) + 0.01)).
        edges: [2, levels - 1], ascending: which level a sample is in.
        outlying: [2, levels], what one sample in a hundred exceeds.
        misfit: [2], twice the overdispersion of any of the samples, as a logarithm.
    """

    widths: Array
    edges: Array
    outlying: Array
    misfit: Array


def calibrate(estimate: Array, truth: Array, fitted: Fitted, levels: int) -> Calibration:
    """Split conformal: of each type, group and level, the quantile of the residuals that covers 90 % of new ones.

    Args:
        estimate: [samples, types], of samples that were not trained on, some fitted by themselves, some together.
        truth: the same shape.
        fitted: what the likelihoods said about them.
        levels: how many parts of equal size each group is cut into.

    Holds where new samples are exchangeable with these (J. Lei et al., 2018).
    """
    scaled = np.abs(estimate - truth) / _unit(estimate, fitted)
    groups = [_rows(fitted.together > 1, group, levels) for group in (False, True)]
    edges = np.stack([np.quantile(fitted.foreign[rows], np.arange(1, levels) / levels) for rows in groups])
    members = [
        [rows[_level(fitted.foreign[rows], cuts) == level] for level in range(levels)]
        for rows, cuts in zip(groups, edges, strict=True)
    ]
    return Calibration(
        widths=np.stack([[_quantile(scaled[rows], LEVEL) for rows in group] for group in members]),
        edges=edges,
        outlying=np.stack([[_quantile(fitted.outlying[rows], USUAL) for rows in group] for group in members]),
        misfit=np.array([fitted.misfit[rows].max() + np.log(MUCH_WORSE) for rows in groups]),
    )


def interval(estimate: Array, fitted: Fitted, calibration: Calibration) -> tuple[Array, Array]:
    """Lower and upper ends, [samples, types] each, within 0 and 1."""
    width = calibration.widths[_places(fitted, calibration.edges)] * _unit(estimate, fitted)
    return np.maximum(estimate - width, 0), np.minimum(estimate + width, 1)


def strange(fitted: Fitted, calibration: Calibration) -> NDArray[np.bool_]:
    """Which samples show genes that the reference does not explain, or fit much worse than those calibrated with."""
    group, level = _places(fitted, calibration.edges)
    return np.asarray(
        (fitted.outlying > calibration.outlying[group, level]) | (fitted.misfit > calibration.misfit[group])
    )


def _rows(together: NDArray[np.bool_], group: bool, levels: int) -> NDArray[np.int64]:  # noqa: FBT001  a value of data
    """The samples of a group; all of them where the group is too small to be cut into levels."""
    rows = np.flatnonzero(together == group)
    return rows if len(rows) >= FEW * levels else np.arange(len(together))


def _places(fitted: Fitted, edges: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group and level of each sample."""
    group = (fitted.together > 1).astype(np.int64)
    return group, _level(fitted.foreign, edges[group])


def _level(foreign: Array, edges: Array) -> NDArray[np.int64]:
    """How many of the edges [..., levels - 1] a value is above."""
    return np.asarray((foreign[:, None] > edges).sum(1))


def _unit(estimate: Array, fitted: Fitted) -> Array:
    return np.asarray(np.sqrt(fitted.variance + BIAS**2 * (estimate * (1 - estimate) + 0.01)))


def _quantile(scaled: Array, level: float) -> Array:
    rank = min(int(np.ceil((len(scaled) + 1) * level)), len(scaled))
    return np.asarray(np.sort(scaled, axis=0)[rank - 1])
