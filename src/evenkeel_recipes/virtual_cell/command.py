"""What can be asked of the recipe."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evenkeel_recipes.kit.command import Commands
from evenkeel_recipes.kit.faults import described
from evenkeel_recipes.kit.options import option
from evenkeel_recipes.kit.refusal import DONE, STOPPED
from evenkeel_recipes.virtual_cell.checkup import LOOKS, alarms
from evenkeel_recipes.virtual_cell.config import CheckupConfig, DataConfig, EvaluateConfig, PredictConfig, RunConfig
from evenkeel_recipes.virtual_cell.course import model_of
from evenkeel_recipes.virtual_cell.diagnose import diagnose_lines
from evenkeel_recipes.virtual_cell.evaluate import evaluate
from evenkeel_recipes.virtual_cell.faults import FAULTS
from evenkeel_recipes.virtual_cell.names import as_they_are, remapped
from evenkeel_recipes.virtual_cell.predict import predict
from evenkeel_recipes.virtual_cell.ranks import Ranks
from evenkeel_recipes.virtual_cell.recipe import parts_of
from evenkeel_recipes.virtual_cell.run import begin_logging, run, split_of, study_of
from evenkeel_recipes.virtual_cell.watching import Material


@dataclass(frozen=True)
class NoConfig:
    """The failures that can be planted with `--fault`: what happened, why, and what ought to be said."""


@dataclass(frozen=True)
class DiagnoseConfig(DataConfig):
    """Least, largest and non-finite values of counts, means and theta, as a trained model has them on these cells."""

    model: Path = option(Path("virtual-cell-run"), "Directory that a run wrote.")  # noqa: RUF009  # it makes a dataclasses.field
    remap: bool = option(False, "Where names are in another order than the model's, go by the names.")  # noqa: FBT003  # a flag


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


def faults(_config: NoConfig) -> int:
    """List the failures that can be planted."""
    sys.stdout.write("\n".join(described(FAULTS)) + "\n")
    return DONE


def checkup(config: CheckupConfig) -> int:
    """Look for failures that stay finite, as `run` does before it trains; status 3 where there is one."""
    begin_logging(Ranks())
    study = study_of(config)
    material = Material(study, split_of(study, config), config)
    found = alarms(model_of(material, parts_of(config.encoder_input, config.adapter, config.fault)), material)
    sys.stdout.writelines(f"{alarm}\n" for alarm in found)
    sys.stdout.write(f"{len(found)} alarms from {len(LOOKS)} looks\n")
    return STOPPED if found else DONE


def diagnose(config: DiagnoseConfig) -> int:
    """Say how the numbers of a model lie."""
    for line in diagnose_lines(study_of(config), config.model, remapped if config.remap else as_they_are):
        sys.stdout.write(line + "\n")
    return DONE


commands = Commands("virtual-cell")
commands.offer("run", RunConfig, run)
commands.offer("predict", PredictConfig, predict)
commands.offer("validate", DataConfig, validate)
commands.offer("evaluate", EvaluateConfig, evaluate)
commands.offer("checkup", CheckupConfig, checkup)
commands.offer("diagnose", DiagnoseConfig, diagnose)
commands.offer("faults", NoConfig, faults)
