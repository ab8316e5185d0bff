"""A trained recipe: what `predict` asks, and what is scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evenkeel_recipes.virtual_cell.anchor import Anchor, Design
from evenkeel_recipes.virtual_cell.calibrate import offsets
from evenkeel_recipes.virtual_cell.conditions import Vocabulary
from evenkeel_recipes.virtual_cell.model import VirtualCell
from evenkeel_recipes.virtual_cell.sampling import Bank, How, Start, begin, flowed, log_means, sampled

NUMBERS = 4_000_000  # cells times genes that a mean is taken over
LEAST_CELLS, MOST_CELLS = 1000, 4000


@dataclass(frozen=True, slots=True)
class Trained:
    """Everything that generates cells.

    Attributes:
        anchor: where means rest; None: on the flow alone.
    """

    model: VirtualCell
    vocabulary: Vocabulary
    bank: Bank
    anchor: Anchor | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Cells of one type: code float32 [perturbations], how many, of which batch (None: as the controls are)."""

    code: Tensor
    cell_type: int
    n: int
    batch: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Cells:
    """Generated cells: expected counts and drawn counts [n, genes], latents [n, dim_int], and what they began as."""

    mean: Tensor
    counts: Tensor
    z: Tensor
    start: Start

    def take(self, chosen: Tensor) -> Cells:
        """Those cells for which `chosen` bool [n] holds."""
        return Cells(self.mean[chosen], self.counts[chosen], self.z[chosen], self.start.take(chosen))


def generate(trained: Trained, asked: Asked, how: How) -> Cells:
    """Cells of a condition. With the same seed and another code they are the same cells, treated otherwise."""
    model = trained.model
    start, z = _flowed(trained, asked, asked.n, how)
    shift, offset = moved(trained, asked, how)
    log_mean = log_means(model, z, start, shift, offset)
    return Cells(log_mean.exp(), sampled(model, log_mean, start.batch, asked.seed + 1), z, start)


def moved(trained: Trained, asked: Asked, how: How) -> tuple[float, Tensor | None]:
    """By how much log libraries move, and the offset of the logits [genes], that the anchor asks for."""
    if trained.anchor is None:
        return 0.0, None
    model, code = trained.model, asked.code.double().numpy()
    wanted = Design(np.stack([code, np.zeros_like(code)]), np.array([asked.cell_type] * 2))
    treated, untreated = trained.anchor.predict(wanted)
    shift = float(treated[-1] - untreated[-1])
    start, z = _flowed(trained, asked, cells_for_means(len(trained.vocabulary.genes)), how)
    log_mean = log_means(model, z, start, shift, None)
    target = torch.from_numpy(treated[:-1]).float()
    return shift, offsets(log_mean, model.decoder.log_theta(start.batch).detach(), target, asked.seed + 2)


def _flowed(trained: Trained, asked: Asked, n: int, how: How) -> tuple[Start, Tensor]:
    """Cells as they begin and where their latents end; those that came to no end are left out, if that is asked for."""
    picker = torch.Generator().manual_seed(asked.seed)
    start = begin(trained.bank, trained.bank.pick(asked.cell_type, asked.batch, n, picker), how, asked.seed)
    z = flowed(trained.model, start, asked.code, how)
    good = z.isfinite().all(1)
    return (start, z) if bool(good.all()) else (start.take(good), z[good])



def cells_for_means(n_genes: int) -> int:
    """How many cells a mean profile is taken over."""
    return max(LEAST_CELLS, min(MOST_CELLS, NUMBERS // n_genes))
