"""Profiles against means over single cells."""

from __future__ import annotations

import numpy as np
import pytest

from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.means.profiles import profiles_of


def test_profiles_are_means_of_single_cells(study: Study) -> None:
    """log1p counts per 10,000, and the log library as the last column."""
    rows = np.arange(0, len(study), 3)
    profiles = profiles_of(study, rows)
    at = profiles.find(3, 1)
    cells = rows[(study.treatment[rows] == 3) & (study.cell_type[rows] == 1)]
    counts = study.counts[cells].toarray().astype(float)
    logs = np.log1p(1e4 * counts / counts.sum(1, keepdims=True))
    assert np.allclose(profiles.mean[at, :-1], logs.mean(0))
    assert profiles.mean[at, -1] == pytest.approx(np.log(counts.sum(1)).mean())
    assert profiles.number[at] == len(cells)
    assert profiles.find(3, 99) is None
