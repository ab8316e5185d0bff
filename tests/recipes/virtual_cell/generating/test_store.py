"""What means rest on comes back from disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evenkeel_recipes.virtual_cell.commands.run import trained_of
from evenkeel_recipes.virtual_cell.generating.store import read_trained, write_trained
from evenkeel_recipes.virtual_cell.healthy import HEALTHY
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.training.material import Material


def test_means_come_back_to_the_bit(model: VirtualCell, material: Material, tmp_path: Path) -> None:
    """Measured, in another type, as a new combination, unknown: shares, and every mean."""
    trained = trained_of(model, material)
    write_trained(tmp_path, trained, {})
    means, again = trained.anchor, read_trained(tmp_path, HEALTHY)[0].anchor
    assert means is not None
    assert again is not None
    assert again.shares == means.shares
    assert again.judged_by == means.judged_by
    assert {"leave_context", "combo_seen2"} <= set(means.shares)
    assert np.array_equal(again.known.sloped.mean, means.known.sloped.mean)
    assert not np.array_equal(means.known.sloped.mean, means.known.anchor.mean)
    for code in np.array([[0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0], [2.0, 0, 0, 0, 0, 0]]):
        for kind in range(3):
            for one, other in zip(means.predict(code, kind), again.predict(code, kind), strict=True):
                assert np.array_equal(one, other)
