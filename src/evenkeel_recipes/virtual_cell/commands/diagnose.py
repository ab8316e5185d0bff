"""How the numbers of the likelihood lie, for a trained model on given cells."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evenkeel_recipes.kit.refusal import DONE
from evenkeel_recipes.virtual_cell.cells.chosen import study_of
from evenkeel_recipes.virtual_cell.cells.conditions import Vocabulary
from evenkeel_recipes.virtual_cell.cells.data import Study, pieces
from evenkeel_recipes.virtual_cell.cells.names import as_they_are, remapped
from evenkeel_recipes.virtual_cell.config import DiagnoseConfig
from evenkeel_recipes.virtual_cell.generating.store import read_trained, settings_of
from evenkeel_recipes.virtual_cell.recipe import parts_of

CELLS = 1024


def diagnose(config: DiagnoseConfig) -> int:
    """Say how the numbers of a model lie."""
    for line in diagnose_lines(study_of(config), config.model, remapped if config.remap else as_they_are):
        sys.stdout.write(line + "\n")
    return DONE


def diagnose_lines(study: Study, model: Path, matched: Callable[[Study, Vocabulary], Study]) -> Iterator[str]:
    """A line for counts, means, theta and theta + mean of the first cells: least, largest, and how many are not finite.

    Args:
        study: the cells.
        model: the directory that a run wrote; with the parts that it was trained with, faults among them.
        matched: how the names of the cells become those of the model; see `names`.

    Raises:
        Refused: the model was trained for other names than these cells have.
    """
    settings = settings_of(model)
    trained, _ = read_trained(model, parts_of(settings["encoder_input"], settings["adapter"], settings["faults"]))
    study = matched(study, trained.vocabulary)
    batch = next(pieces(study, np.arange(min(CELLS, len(study))), CELLS))
    with torch.no_grad():
        found = trained.model.encode(batch.counts, batch.batch, batch.cell_type)
        log_mean = trained.model.log_mean(found.mean, found.tech_mean, batch.counts.sum(1, keepdim=True).log())
        theta = trained.model.decoder.log_theta(batch.batch).exp()
    mean = log_mean.exp()
    for name, values in (("counts", batch.counts), ("mean", mean), ("theta", theta), ("theta + mean", theta + mean)):
        yield _line(name, values)


def _line(name: str, values: Tensor) -> str:
    bad = int((~values.isfinite()).sum())
    return f"{name:<14} {float(values.min()):.4g} to {float(values.max()):.4g}, {bad} of {values.numel():,} not finite"
