"""The looks that `run` takes before it trains, by themselves."""

from __future__ import annotations

import sys

from evenkeel_recipes.kit.refusal import DONE, STOPPED
from evenkeel_recipes.virtual_cell.cells.chosen import split_of, study_of
from evenkeel_recipes.virtual_cell.checkup.alarms import LOOKS, alarms
from evenkeel_recipes.virtual_cell.config import CheckupConfig
from evenkeel_recipes.virtual_cell.recipe import parts_of
from evenkeel_recipes.virtual_cell.training.course import model_of
from evenkeel_recipes.virtual_cell.training.material import Material
from evenkeel_recipes.virtual_cell.training.ranks import Ranks, begin_logging


def checkup(config: CheckupConfig) -> int:
    """Look for failures that stay finite, as `run` does before it trains; status 3 where there is one."""
    begin_logging(Ranks())
    study = study_of(config)
    material = Material(study, split_of(study, config), config)
    found = alarms(model_of(material, parts_of(config.encoder_input, config.adapter, config.fault)), material)
    sys.stdout.writelines(f"{alarm}\n" for alarm in found)
    sys.stdout.write(f"{len(found)} alarms from {len(LOOKS)} looks\n")
    return STOPPED if found else DONE
