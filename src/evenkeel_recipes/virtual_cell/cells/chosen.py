"""The cells that a configuration asks for, and their split."""

from __future__ import annotations

import logging

from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.cells.reading import read_study
from evenkeel_recipes.virtual_cell.cells.simulate import simulate
from evenkeel_recipes.virtual_cell.cells.split import EMBEDDED, Split, refuse_untrainable, split_study, wanted_of
from evenkeel_recipes.virtual_cell.config import DataConfig, RunConfig

LOG = logging.getLogger("virtual_cell")


def study_of(config: DataConfig) -> Study:
    """The cells of `--data`, or simulated ones."""
    study = read_study(config, config.data) if config.data else simulate(config.seed)[0]
    for notice in study.notices:
        LOG.warning("%s", notice)
    return study


def split_of(study: Study, config: RunConfig) -> Split:
    """The split to train by.

    Raises:
        Refused: nothing is left to train on, or see `judged_by`.
    """
    split = judged_by(study, config)
    refuse_untrainable(study, split)
    return split


def judged_by(study: Study, config: RunConfig) -> Split:
    """What `--holdout` and `--split` ask for; without them three conditions of simulated cells, or cells at random.

    Raises:
        Refused: a condition that cannot be judged; see `split_study`.
    """
    asked = config.holdout or (EMBEDDED if not (config.data or config.split) else ())
    wanted = wanted_of(study, asked, config.split, config.seed)
    return split_study(study, wanted, not wanted, config.seed)
