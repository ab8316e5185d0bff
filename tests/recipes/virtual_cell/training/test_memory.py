"""The estimate of memory."""

from __future__ import annotations

import re
from dataclasses import replace

from evenkeel_recipes.kit.outcome import peak_memory
from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.training.material import Material
from evenkeel_recipes.virtual_cell.training.memory import estimate


def test_it_counts_what_a_run_holds(study: Study, material: Material) -> None:
    """At least what is held already; more for larger batches and more parameters; told in megabytes."""
    small = estimate(study, material.config, 1000)
    assert small.total > peak_memory() * 0.99
    assert estimate(study, material.config, 10**8).total - small.total > 4 * 7 * 0.99e8
    wide = estimate(study, replace(material.config, batch_size=10**6), 1000)
    assert wide.training_step > small.training_step * 10**3
    assert re.match(r"about [\d,]+ MB will be needed: [\d,]+ are held", str(small))
