"""What studies training sees, and what an estimator that is kept is calibrated with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data.reference import Parts, Reference, three_parts
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.deconvolution.training.samples import (
    TRAINED_ON,
    Split,
    known_signature,
    to_calibrate,
    to_choose_by,
    to_train_on,
)

CONFIG = RunConfig(n_train=500, redraws=5, n_val=120, n_cells=200)


@pytest.fixture(scope="module")
def parts() -> Parts:
    """Cells of six donors."""
    return three_parts(draw_cells(make_world(0, n_genes=400), 1600, 0), 0)


def test_a_fifth_of_the_training_samples_are_of_one_tissue_each(parts: Parts) -> None:
    """The others differ as much as can be; each redraw has the studies that it is to have."""
    split = to_train_on(parts.train, CONFIG, healthy())
    assert len(TRAINED_ON) == 5
    of_redraw = [split.fitted.together[100 * place : 100 * (place + 1)] for place in range(5)]
    assert [set(together.tolist()) for together in of_redraw] == [{1}, {50}, {20}, {100}, {100}]
    spread = [spread_of(split, slice(start, start + 20)) for start in range(0, 500, 20)]
    of_one_tissue, diverse = spread[10:15], spread[:10] + spread[15:]
    assert max(of_one_tissue) < 0.7 * min(diverse)


def spread_of(split: Split, rows: slice) -> float:
    """How much samples differ."""
    return float(split.fractions[rows].std(0).mean())


def test_the_kept_estimator_is_calibrated_with_the_cells_that_judge_too() -> None:
    """The same samples, of cells that no signature knows; one of more cells fits them better."""
    science, cells = healthy(), replace(draw_cells(make_world(0, n_genes=400), 400, 0), donors=None)
    parts = three_parts(cells, 0)  # half of the cells of a type are some twenty, and a seventh more counts
    few = to_choose_by(parts.validation, known_signature(parts.train, science), CONFIG, science)
    more = to_calibrate(parts, CONFIG, science)
    assert (few.fractions == more.fractions).all()
    assert (few.view == more.view).all()
    as_the_reference = slice(0, CONFIG.n_val // 3)  # whose misfit is noise alone
    assert more.fitted.misfit[as_the_reference].mean() < few.fitted.misfit[as_the_reference].mean() - 0.05


def test_validation_needs_one_cell_of_a_type(parts: Parts) -> None:
    """Half of one cell is that cell."""
    cells = parts.validation
    one = np.concatenate([np.flatnonzero(cells.labels == kind)[:1] for kind in range(len(cells.types))])
    few: Reference = cells.take(one)
    split = to_choose_by(few, known_signature(parts.train, healthy()), CONFIG, healthy())
    assert np.isfinite(split.fitted.estimates).all()
    assert len(split.fractions) == 120
