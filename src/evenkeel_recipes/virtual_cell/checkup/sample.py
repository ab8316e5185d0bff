"""Some cells of a run, whose batches a look can compute with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evenkeel_recipes.virtual_cell.cells.data import Batch, CellBatches, Rows
from evenkeel_recipes.virtual_cell.cells.split import Split
from evenkeel_recipes.virtual_cell.model.latents import FlowBatch
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.training.flow_data import FlowBatches, Pairing, posteriors, starts_of
from evenkeel_recipes.virtual_cell.training.material import Material
from evenkeel_recipes.virtual_cell.training.ranks import Ranks

CONDITIONS, CELLS = 6, 16  # the largest ones, and so many cells of each
CONTROLS = 64


@dataclass(frozen=True, slots=True)
class Sample:
    """Control cells and cells of a few conditions, as a run with nothing else would have them.

    Attributes:
        material: all of its cells are trained on, and none is held out.
        controls: rows of the control cells.
    """

    material: Material
    controls: Rows

    @classmethod
    def of(cls, material: Material) -> Sample:
        """Of the cells that a run trains on."""
        study, train = material.study, material.split.train
        key = study.treatment[train] * len(study.vocabulary.cell_types) + study.cell_type[train]
        is_control = study.treatment[train] == study.control
        kinds, numbers = np.unique(key[~is_control], return_counts=True)
        largest = kinds[np.argsort(-numbers, kind="stable")[:CONDITIONS]]
        rows = [train[is_control][:CONTROLS], *(train[key == kind][:CELLS] for kind in largest)]
        few = study.take(np.concatenate(rows))
        every, none = np.arange(len(few)), np.array([], dtype=np.int64)
        split = Split(every, none, none, ())
        return cls(replace(material, study=few, split=split, ranks=Ranks()), every[few.treatment == few.control])

    @property
    def cells(self) -> Batch:
        """All of them."""
        return CellBatches(self.material.study).__getitems__(self.material.split.train.tolist())

    @property
    def pairs(self) -> tuple[Batch, Batch]:
        """All of them, each with a control cell, as in stage 3."""
        partner = np.resize(self.controls, len(self.material.split.train))
        return self.cells, CellBatches(self.material.study).__getitems__(partner.tolist())

    def flow(self, model: VirtualCell) -> FlowBatch:
        """All of them as latents, as in stage 2."""
        study, config, rows = self.material.study, self.material.config, self.material.split.train
        latents = posteriors(model, study, rows)
        controls = self.controls
        kinds = np.isin(study.cell_type, study.cell_type[controls])
        pairing = Pairing(config.source, config.coupling == "ot", study, latents, controls)
        starts = starts_of(pairing, rows[kinds], np.random.default_rng(config.seed))
        return FlowBatches(study, latents, rows[kinds], starts).__getitems__(range(int(kinds.sum())))
