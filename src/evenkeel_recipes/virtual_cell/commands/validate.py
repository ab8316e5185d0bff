"""What is in the data."""

from __future__ import annotations

import logging
import sys

import numpy as np

from evenkeel_recipes.kit.refusal import DONE
from evenkeel_recipes.virtual_cell.cells.chosen import study_of
from evenkeel_recipes.virtual_cell.config import DataConfig


def validate(config: DataConfig) -> int:
    """Say what is in the data; what cannot be trained on is refused."""
    logging.basicConfig(format="%(message)s")
    study = study_of(config)
    words, library = study.vocabulary, study.library
    sys.stdout.write(
        f"{len(study):,} cells, {len(words.genes):,} genes, "
        f"{study.counts.nnz / np.prod(study.counts.shape):.1%} of counts above 0\n"
        f"counts of a cell: {library.min():g} to {library.max():g}, median {np.median(library):g}\n"
        f"{len(study.treatments)} treatments of {len(words.perturbations)} perturbations, "
        f"{int((study.treatment == study.control).sum()):,} control cells\n"
        f"cell types: {', '.join(words.cell_types)}\nbatches: {', '.join(words.batches)}\n"
    )
    for row, treatment in enumerate(study.treatments):
        sys.stdout.write(f"  {words.name(treatment):<32} {int((study.treatment == row).sum()):>7,}\n")
    return DONE
