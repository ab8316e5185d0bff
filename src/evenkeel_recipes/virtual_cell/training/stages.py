"""Stage 1: the VAE. Stage 2: the flow between its frozen latents. Stage 3: both together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset

from evenkeel_recipes.virtual_cell.cells.data import Batch, CellBatches, Rows, whole
from evenkeel_recipes.virtual_cell.config import RunConfig
from evenkeel_recipes.virtual_cell.model.latents import FlowBatch, drawn
from evenkeel_recipes.virtual_cell.model.losses import DISTANCES, distances_of_conditions, flow_loss, vae_terms
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.training.devices import ResidentCells, cells_on
from evenkeel_recipes.virtual_cell.training.flow_data import (
    FlowBatches,
    Pairing,
    partners,
    posteriors,
    sha256_of,
    starts_of,
)
from evenkeel_recipes.virtual_cell.training.grouped import OneConditionAfterTheOther
from evenkeel_recipes.virtual_cell.training.loop import Stage
from evenkeel_recipes.virtual_cell.training.material import Material
from evenkeel_recipes.virtual_cell.training.watching import (
    FIXED,
    VALIDATION_CELLS,
    ended,
    flow_bounds,
    flow_validation,
    marginal_nll,
    vae_validation,
)


def vae_stage(model: VirtualCell, material: Material) -> Stage:
    """Encoder and decoder, by the evidence bound."""
    config, study, split = material.config, material.study, material.split
    parameters = [*model.encoder.parameters(), *model.decoder.parameters()]
    cells = cells_on(study, material.device)
    train = torch.utils.data.Subset(cells, split.train.tolist())

    def batches(_epoch: int) -> DataLoader[Batch]:
        model.train()
        return _loader(train, config.batch_size)

    def loss(batch: Batch, epoch: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        value, terms, _ = vae_terms(model, batch, _beta(config, epoch), config.nll_reduction == "mean_gene")
        return value, terms

    def validation() -> Mapping[str, float]:
        return vae_validation(model, material)

    return Stage(
        "vae", config.epochs_vae, config.lr_vae, parameters, batches, _count(split.train, config), loss, validation,
        constants={"marginal_nll": marginal_nll(material)},
    )  # fmt: skip


def flow_stage(model: VirtualCell, material: Material) -> Stage:
    """The field, between latents that the frozen encoder gave once."""
    config, study, split = material.config, material.study, material.split
    latents = posteriors(model, study, np.arange(len(study)), material.ranks)
    parameters = model.parts.flow_parameters((model.encoder, model.decoder), model.field)
    controls = split.train[study.treatment[split.train] == study.control]
    pairing = Pairing(config.source, config.coupling == "ot", study, latents, controls)

    def dataset(rows: Rows, seed: int) -> FlowBatches:
        starts = starts_of(pairing, rows, np.random.default_rng(seed))
        return FlowBatches(study, latents, rows, starts, material.device)

    def batches(epoch: int) -> DataLoader[FlowBatch]:
        cells = dataset(split.train, config.seed * 7919 + epoch)
        if config.lambda_dist:
            return DataLoader(
                cells,
                batch_sampler=OneConditionAfterTheOther(cells.group[cells.rows].cpu(), config.batch_size),
                collate_fn=whole,
            )
        return _loader(cells, config.batch_size)

    def loss(batch: FlowBatch, _epoch: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        return flow_terms(model, batch, material)

    averaged = AveragedModel(model.field, multi_avg_fn=_ema(config.ema))
    watched = dataset(split.validation[:VALIDATION_CELLS], FIXED)
    return Stage(
        "flow", config.epochs_flow, config.lr_flow, parameters, batches, _count(split.train, config), loss,
        lambda: flow_validation(model, watched), averaged,
        constants=flow_bounds(material, latents, controls), patience=config.patience, score="val_energy",
        inputs=sha256_of(latents),
    )  # fmt: skip


def flow_terms(model: VirtualCell, batch: FlowBatch, material: Material) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Loss of stage 2 and its terms."""
    config = material.config
    mean, log_var = model.parts.latents(model.encode, material.study, batch)
    start, end = drawn(batch.start_mean, batch.start_log_var), drawn(mean, log_var)
    regression = flow_loss(model, start, end, batch.code, batch.context)
    if not config.lambda_dist:
        return regression, {"flow": regression}
    aimed = model.parts.distance_target(ended(model, start, batch), end)
    distance, number = distances_of_conditions(*aimed, batch.group, DISTANCES[config.distance])
    if distance is None:  # no condition of this batch has 8 cells; the history counts how often
        none = regression.new_zeros(())
        return regression, {"flow": regression, "distance": none, "conditions": none}
    loss = regression + config.lambda_dist * distance
    return loss, {"flow": regression, "distance": distance, "conditions": regression.new_tensor(float(number))}


def joint_stage(model: VirtualCell, material: Material) -> Stage:
    """Everything: the evidence bound keeps the latents from shrinking, which the flow's loss alone would reward."""
    config, study, split = material.config, material.study, material.split
    latents = posteriors(model, study, np.arange(len(study)), material.ranks)
    model.requires_grad_(requires_grad=True)
    controls = split.train[study.treatment[split.train] == study.control]
    pairing = Pairing("control", config.coupling == "ot", study, latents, controls)
    cells = cells_on(study, material.device)

    def batches(epoch: int) -> DataLoader[tuple[Batch, Batch]]:
        model.train()
        rng = np.random.default_rng(config.seed * 7919 + epoch)
        return _loader(Pairs(cells, split.train, partners(pairing, split.train, rng)), config.batch_size)

    def loss(batch: tuple[Batch, Batch], _epoch: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        return joint_terms(model, batch, config)

    averaged = AveragedModel(model.field, multi_avg_fn=_ema(config.ema))
    return Stage(
        "joint", config.epochs_joint, config.lr_joint, list(model.parameters()), batches, _count(split.train, config),
        loss, lambda: vae_validation(model, material), averaged, inputs=sha256_of(latents),
    )  # fmt: skip


def joint_terms(
    model: VirtualCell, batch: tuple[Batch, Batch], config: RunConfig
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Loss of stage 3 and its terms; the end of the flow is the very latent that the decoder got, with its gradient."""
    cell, partner = batch
    evidence, terms, end = vae_terms(model, cell, config.beta, config.nll_reduction == "mean_gene")
    if config.source == "control":
        found = model.encode(partner.counts, partner.batch, partner.cell_type)
        start = model.parts.joint_latents(drawn(found.mean, found.log_var))
    else:
        start = torch.randn_like(end)
    end = model.parts.joint_latents(end)
    regression = flow_loss(model, start, end, cell.code, (cell.batch, cell.cell_type, cell.spatial))
    return model.parts.joint_loss(evidence, config.joint_flow_weight * regression), {**terms, "flow": regression}


class Pairs(Dataset[tuple[Batch, Batch]]):
    """Cells with a control cell each."""

    def __init__(
        self,
        cells: ResidentCells | CellBatches,
        rows: Rows,
        partner: Rows,
    ) -> None:
        self.cells, self.rows, self.partner = cells, rows, partner

    def __len__(self) -> int:
        """How many."""
        return len(self.rows)

    def __getitems__(self, places: list[int]) -> tuple[Batch, Batch]:
        """The pairs in these places."""
        return self.cells.__getitems__(self.rows[places].tolist()), self.cells.__getitems__(
            self.partner[places].tolist()
        )


def _beta(config: RunConfig, epoch: int) -> float:
    return config.beta * min(1.0, (epoch + 1) / (config.beta_warmup + 1))


def _count(rows: Rows, config: RunConfig) -> int:
    return -(-len(rows) // config.batch_size)


def _loader(cells: Dataset, size: int) -> DataLoader:  # type: ignore[type-arg]  # of any batch
    return DataLoader(cells, batch_size=size, shuffle=True, collate_fn=whole)


def _ema(decay: float) -> Callable[..., None]:
    """Averages that begin with the mean of all so far, so that a short stage is not mostly its first weights."""

    def update(averaged: list[Tensor], current: list[Tensor], num_averaged: Tensor | int) -> None:
        now = min(decay, (1 + int(num_averaged)) / (10 + int(num_averaged)))
        torch._foreach_lerp_(averaged, current, 1 - now)

    return update
