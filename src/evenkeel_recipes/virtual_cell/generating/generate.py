"""A trained recipe: what `predict` asks, and what is scored."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.conditions import Vocabulary
from evenkeel_recipes.virtual_cell.generating.calibrate import UNMOVED, Moves, moves_to
from evenkeel_recipes.virtual_cell.generating.sampling import Bank, How, Start, begin, flowed, log_means, sampled
from evenkeel_recipes.virtual_cell.means.means import Means
from evenkeel_recipes.virtual_cell.means.profiles import cells_for_means
from evenkeel_recipes.virtual_cell.model.model import VirtualCell


@dataclass(frozen=True, slots=True)
class Trained:
    """Everything that generates cells.

    Attributes:
        anchor: where means rest; None: on the flow alone.
    """

    model: VirtualCell
    vocabulary: Vocabulary
    bank: Bank
    anchor: Means | None


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
    """Generated cells: expected counts and drawn counts [n, genes], latents [n, dim_int], and what they began as.

    Attributes:
        log_theta: what was added to log theta when counts were drawn.
    """

    mean: Tensor
    counts: Tensor
    z: Tensor
    start: Start
    log_theta: float

    def take(self, chosen: Tensor) -> Cells:
        """Those cells for which `chosen` bool [n] holds."""
        return Cells(self.mean[chosen], self.counts[chosen], self.z[chosen], self.start.take(chosen), self.log_theta)


def generate(trained: Trained, asked: Asked, how: How) -> Cells:
    """Cells of a condition. With the same seed and another code they are the same cells, treated otherwise.

    Raises:
        Refused: no cell came to an end (of those that did not, `how.on_bad` says what becomes).
        ops.NonFiniteVelocity: some did not, and that is to stop.
    """
    return cells_from(trained, asked, *latents_of(trained, asked, how))


def latents_of(trained: Trained, asked: Asked, how: How) -> tuple[Start, Tensor]:
    """Cells as they begin, and where their latents end: those asked for, and more where a mean needs them."""
    n = max(asked.n, cells_for_means(len(trained.vocabulary.genes)))
    picker = torch.Generator().manual_seed(asked.seed)
    start = begin(trained.bank, trained.bank.pick(asked.cell_type, asked.batch, n, picker), how, asked.seed)
    z = flowed(trained.model, start, asked.code, how)
    good = z.isfinite().all(1)
    if not bool(good.any()):
        raise Refused("no cell is left: the velocity of every cell was not finite; train anew")
    return (start, z) if bool(good.all()) else (start.take(good), z[good])


def cells_from(trained: Trained, asked: Asked, start: Start, z: Tensor) -> Cells:
    """The first of these cells, decoded, with the means that the anchor asks for, and drawn."""
    model = trained.model
    shift, moves = _moved(trained, asked, start, z)
    chosen = start.row < asked.n
    start, z = start.take(chosen), z[chosen]
    log_mean = log_means(model, z, start, shift, moves.logits)
    counts = sampled(model, log_mean, start.batch, asked.seed + 1, moves.log_theta)
    return Cells(log_mean.exp(), counts, z, start, moves.log_theta)


def _moved(trained: Trained, asked: Asked, start: Start, z: Tensor) -> tuple[float, Moves]:
    """By how much log libraries move, and logits and log theta, that the anchor asks for."""
    if trained.anchor is None:
        return 0.0, UNMOVED
    treated, untreated = trained.anchor.predict(asked.code.double().numpy(), asked.cell_type)
    shift = float(treated[-1] - untreated[-1])
    some = torch.arange(len(z)) < cells_for_means(len(trained.vocabulary.genes))
    begun = start.take(some)
    log_mean = log_means(trained.model, z[some], begun, shift, None)
    target = torch.from_numpy(treated[:-1]).float()
    return shift, moves_to(target, log_mean, trained.model.decoder.log_theta(begun.batch).detach(), asked.seed + 2)
