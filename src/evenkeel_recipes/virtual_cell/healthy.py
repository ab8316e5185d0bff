"""The recipe as it should be, part by part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from evenkeel import ops
from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.cells.names import same_names
from evenkeel_recipes.virtual_cell.model.adapter import difference_form
from evenkeel_recipes.virtual_cell.model.latents import Encode, FlowBatch
from evenkeel_recipes.virtual_cell.model.losses import library_times_share, nb_log_likelihood, sum_of_terms
from evenkeel_recipes.virtual_cell.model.parts import Parts


def log1p_cp10k(counts: Tensor) -> Tensor:
    """log(1 + counts per 10,000) of [B, genes]; every cell has a count, see `kit.counts`."""
    return torch.log1p(counts * (1e4 / counts.sum(1, keepdim=True)))


def freeze_vae(vae: Sequence[nn.Module], field: nn.Module) -> list[nn.Parameter]:
    """Stage 2 trains the field and nothing else."""
    for part in vae:
        part.requires_grad_(requires_grad=False)
    return list(field.parameters())


def cached(_encode: Encode, _study: Study, batch: FlowBatch) -> tuple[Tensor, Tensor]:
    """Latents of stage 2 were computed once, with the frozen encoder."""
    return batch.mean, batch.log_var


def clipped_step(loss: Tensor, optimizer: Optimizer, parameters: Sequence[nn.Parameter], clip: float) -> Tensor:
    """Backward, clip, step; gives the norm of the gradients before clipping."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    return norm


def unchanged(value: Tensor) -> Tensor:
    """The value itself."""
    return value


HEALTHY = Parts(
    encoder_input=torch.log1p,
    log_var=ops.bounded_log_var,
    log_mean=library_times_share,
    likelihood=nb_log_likelihood,
    vae_loss=sum_of_terms,
    code=unchanged,
    asked_code=unchanged,
    coefficients=difference_form,
    posterior_mode=nn.Module.eval,
    flow_parameters=freeze_vae,
    latents=cached,
    joint_loss=lambda vae, flow: vae + flow,
    joint_latents=unchanged,
    distance_target=lambda ended, aim: (ended, aim),
    velocity=unchanged,
    time_features=unchanged,
    update=clipped_step,
    learning_rate=lambda asked: asked,
    check_vocabulary=same_names,
)
