"""What is watched beside a loss: the same on cells that are not trained on, and between what it can lie."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from evenkeel import ops
from evenkeel.metrics import TwoSamples
from evenkeel_recipes.virtual_cell.cells.data import Rows, pieces
from evenkeel_recipes.virtual_cell.model.latents import FlowBatch, Posterior, drawn
from evenkeel_recipes.virtual_cell.model.losses import floor_of, flow_loss, vae_terms
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.training.devices import fixed_noise, moved
from evenkeel_recipes.virtual_cell.training.flow_data import FlowBatches, stds_of_conditions
from evenkeel_recipes.virtual_cell.training.material import Material

LOG = logging.getLogger("virtual_cell")
FIXED = 20_011  # seed of the noise that validation losses are computed with, in every epoch the same
SHORT_SOLUTION = 4  # midpoint steps of the solution that a distance is taken at the end of
VALIDATION_CELLS = 512
MOST_RATIO = 10.0  # of velocities to what they are trained to be


def marginal_nll(material: Material) -> float:
    """Negative log-likelihood of a validation cell where each gene has one share and one theta for all cells.

    What a VAE has to be better than. Theta by moments.
    """
    study, split = material.study, material.split
    train, library = study.counts[split.train], study.library[split.train]
    share = np.asarray(train.sum(0)).ravel() + 0.5
    share = share / share.sum()
    mean = library.mean() * share
    squares = np.asarray(train.multiply(train).sum(0)).ravel() / len(library)
    over = np.maximum(squares - (library**2).mean() * share**2 - mean, 1e-4 * mean**2)
    log_theta = torch.from_numpy(np.log((library**2).mean() * share**2 / over)).float()
    found = []
    for batch in pieces(study, split.validation):
        log_mean = batch.counts.sum(1, keepdim=True).log() + torch.from_numpy(np.log(share)).float()
        found.append(-ops.negative_binomial_log_prob(batch.counts, log_mean, log_theta).sum(1))
    total = torch.cat(found).mean()
    return float(total) / (study.counts.shape[1] if material.config.nll_reduction == "mean_gene" else 1)


def flow_bounds(material: Material, latents: Posterior, controls: Rows) -> Mapping[str, float | None]:
    """Between what the loss of stage 2 can lie: its floor for unmatched pairs, and what a field of zeros scores."""
    study, split = material.study, material.split
    ends = stds_of_conditions(study, split.train, latents)
    if material.config.source == "noise":
        return {
            "floor": floor_of(torch.ones_like(ends), ends),
            "zero_field": 1
            + float(latents.mean[split.train].square().mean() + latents.log_var[split.train].exp().mean()),
        }
    start = stds_of_conditions(study, controls, latents).mean(0)
    return {"floor": floor_of(start, ends)}


def vae_validation(model: VirtualCell, material: Material) -> Mapping[str, float]:
    """The loss of stage 1 on other cells, without dropout, with noise that never changes."""
    model.eval()
    config, rows = material.config, material.split.validation[:VALIDATION_CELLS]
    with fixed_noise(FIXED, material.device), torch.no_grad():
        found = [
            (len(batch.row), *vae_terms(model, batch, config.beta, config.nll_reduction == "mean_gene")[:2])
            for batch in (moved(piece, material.device) for piece in pieces(material.study, rows))
        ]
    n = sum(size for size, _, _ in found)
    return {
        "val_loss": sum(size * float(value) for size, value, _ in found) / n,
        "val_nll": sum(size * float(terms["nll"]) for size, _, terms in found) / n,
    }


def flow_validation(model: VirtualCell, watched: FlowBatches) -> Mapping[str, float]:
    """The same quantity as in training, on other cells with noise that never changes; and the distance of samples.

    `val_zero_field` is what a field of zeros would score; `val_velocity_ratio` how long velocities are, as root mean
    squares, beside what they are trained to be.
    """
    batch = watched.__getitems__(range(len(watched)))
    with fixed_noise(FIXED, batch.mean.device), torch.no_grad():
        start, end = drawn(batch.start_mean, batch.start_log_var), drawn(batch.mean, batch.log_var)
        value = float(flow_loss(model, start, end, batch.code, batch.context))
        distance = TwoSamples.of(ended(model, start, batch).cpu(), end.cpu()).energy().value
        still = float((end - start).square().mean())
        code, time = model.parts.code(batch.code), torch.rand(len(start), 1, device=start.device)
        velocity = model.velocity((1 - time) * start + time * end, time, code, batch.context)
        ratio = (float(velocity.square().mean()) / still) ** 0.5
    if ratio > MOST_RATIO:
        LOG.warning("velocities are %.3g times as long as what they are trained to be", ratio)
    return {"val_loss": value, "val_energy": distance, "val_zero_field": still, "val_velocity_ratio": ratio}


def ended(model: VirtualCell, start: Tensor, batch: FlowBatch) -> Tensor:
    """Where a short solution ends, with its gradient."""
    alpha = model.field.effect(model.parts.code(batch.code), batch.cell_type, model.parts)
    context = model.field.context(*batch.context)

    def velocity(z: Tensor, time: float) -> Tensor:
        return model.field(z, torch.full((len(z), 1), time, device=z.device), alpha, context, model.parts)  # type: ignore[no-any-return]

    return ops.integrate(velocity, start, [step / SHORT_SOLUTION for step in range(SHORT_SOLUTION + 1)], ops.MIDPOINT)
