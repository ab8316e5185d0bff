"""Baselines against sums by hand."""

from __future__ import annotations

import numpy as np

from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.means.baselines import shifts
from evenkeel_recipes.virtual_cell.means.profiles import profiles_of


def test_baselines_by_hand(study: Study) -> None:
    """Sums and means of differences of means; None where there is nothing to go by."""
    rows = np.flatnonzero(~((study.treatment == 2) & (study.cell_type == 0)))
    profiles, codes = profiles_of(study, rows), study.codes.astype(float)
    place = {study.vocabulary.name(t): row for row, t in enumerate(study.treatments)}

    def effect(name: str, kind: int) -> np.ndarray:
        mean = [profiles.mean[profiles.find(place[one], kind), :-1] for one in (name, "control")]
        return mean[0] - mean[1]

    pair = shifts(profiles, codes, study.control, place["P1+P2"], 1)
    assert not pair["no_change"].any()
    assert np.allclose(pair["additive"], effect("P1", 1) + effect("P2", 1))
    assert np.allclose(pair["mean_shift"], (effect("P1+P2", 0) + effect("P1+P2", 2)) / 2)
    others = [effect(name, 1) for name in place if name not in {"control", "P1+P2"}]
    assert np.allclose(pair["mean_of_others"], np.mean(others, 0))
    alone = shifts(profiles, codes, study.control, 2, 0)
    assert alone["additive"] is None
    assert np.isfinite(alone["linear"]).all()
