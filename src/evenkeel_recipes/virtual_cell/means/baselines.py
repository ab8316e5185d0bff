"""Predictions that take no model, printed beside the model's always."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from evenkeel_recipes.virtual_cell.cells.data import Rows
from evenkeel_recipes.virtual_cell.means.profiles import Array, Profiles

RIDGE = 1.0  # of the linear model, in cells
COMPONENTS = 10


def effects_of(profiles: Profiles, control: int) -> tuple[Array, Rows]:
    """Effects of perturbed conditions on mean profiles [conditions, genes], and which rows of `profiles` they are.

    Conditions whose type has no control are left out.
    """
    found = [
        (row, profiles.mean[row, :-1] - profiles.mean[base, :-1])
        for row, (treatment, kind) in enumerate(zip(profiles.treatment, profiles.cell_type, strict=True))
        if treatment != control and (base := profiles.find(control, int(kind))) is not None
    ]
    rows = np.array([row for row, _ in found], dtype=np.int64)
    return np.stack([effect for _, effect in found]) if found else np.zeros((0, profiles.mean.shape[1] - 1)), rows


def shifts(
    profiles: Profiles, codes: Array, control: int, treatment: int, cell_type: int
) -> Mapping[str, Array | None]:
    """Predicted change of the mean profile [genes] by each baseline; None where it has nothing to go by.

    no_change: none. mean_of_others: what other perturbations do, in this type where there are any. additive: effects of
    the single perturbations in this type, of those that are known. mean_shift: the same treatment in other types.
    linear: ridge regression of the leading components of all effects on perturbations.
    """
    effects, rows = effects_of(profiles, control)
    treated, kind = profiles.treatment[rows], profiles.cell_type[rows]
    others = (treated != treatment) & (kind == cell_type)
    elsewhere = (treated == treatment) & (kind != cell_type)
    any_other = others if others.any() else treated != treatment
    return {
        "no_change": np.zeros(effects.shape[1]),
        "mean_of_others": effects[any_other].mean(0) if any_other.any() else None,
        "additive": _additive(effects, treated, kind == cell_type, codes, codes[treatment]),
        "mean_shift": effects[elsewhere].mean(0) if elsewhere.any() else None,
        "linear": _linear(effects, codes[treated], profiles.number[rows], codes[treatment]),
    }


def _additive(effects: Array, treated: Rows, in_type: NDArray[np.bool_], codes: Array, wanted: Array) -> Array | None:
    """Sum of the effects of known singles; None where no part is known, or the whole is a single perturbation."""
    if (wanted != 0).sum() < 2:  # noqa: PLR2004  a combination has two parts
        return None
    alone = in_type & ((codes[treated] != 0).sum(1) == 1)
    parts = [
        effects[alone & (codes[treated][:, column] != 0)].mean(0)
        for column in np.flatnonzero(wanted)
        if (alone & (codes[treated][:, column] != 0)).any()
    ]
    return np.sum(parts, axis=0) if parts else None


def _linear(effects: Array, codes: Array, number: Array, wanted: Array) -> Array | None:
    if len(effects) < 2 or not (codes[:, wanted != 0] != 0).any():  # noqa: PLR2004  components of one effect are itself
        return None
    _, _, axes = np.linalg.svd(effects, full_matrices=False)
    axes = axes[:COMPONENTS]
    weighted = codes * number[:, None]
    slopes = np.linalg.solve(codes.T @ weighted + RIDGE * np.eye(codes.shape[1]), weighted.T @ (effects @ axes.T))
    return np.asarray(wanted @ slopes @ axes)
