"""What all stages share."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.cells.split import Split
from evenkeel_recipes.virtual_cell.config import RunConfig
from evenkeel_recipes.virtual_cell.training.devices import CPU
from evenkeel_recipes.virtual_cell.training.ranks import Ranks


@dataclass(frozen=True)
class Material:
    """What all stages share: the cells, who trains, the choices, the processes that train together, and where."""

    study: Study
    split: Split
    config: RunConfig
    ranks: Ranks = field(default_factory=Ranks)
    device: torch.device = CPU
