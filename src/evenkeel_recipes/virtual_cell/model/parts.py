"""The functions of the recipe that can be exchanged; `healthy.py` holds the right ones, `faults.py` others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim import Optimizer

from evenkeel_recipes.virtual_cell.cells.conditions import Vocabulary
from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.model.adapter import Adapter
from evenkeel_recipes.virtual_cell.model.latents import Encode, FlowBatch


@dataclass(frozen=True, slots=True)
class Parts:
    """One recipe.

    Attributes:
        encoder_input: counts [B, genes] to what the encoder sees.
        log_var: the encoder's raw output, and the bound, to log-variances.
        log_mean: logits [B, genes] and log library [B, 1] to log means.
        likelihood: counts, log means, log theta to log-likelihoods [B, genes].
        vae_loss: the terms of stage 1, means over cells, to its loss.
        code: codes [B, perturbations] as the flow is trained with.
        asked_code: the same, as it is sampled with.
        coefficients: codes and embedded types, by the adapter and features of codes [codes, features], to [B, 64], of
            which a head makes the weights of the basis fields.
        posterior_mode: puts the encoder into the mode in which the latents of stage 2 are computed.
        flow_parameters: freezes what stage 2 must not move, of the modules of the VAE and the field, and gives what it
            trains.
        latents: the encoder, the cells and a batch to mean and log-variance of the latents [B, dim_int] that stage 2
            flows to.
        joint_loss: loss of the VAE and loss of the flow to that of stage 3.
        joint_latents: latents of the cells of a step of stage 3 as the flow's loss gets them.
        distance_target: where the flow ended and what it aimed at, to the two sets that are compared.
        velocity: what becomes of a velocity before a solver uses it.
        time_features: time [B, 1] to what the time network sees.
        update: backward, clipping and step, to the norm of the gradients before clipping.
        learning_rate: the learning rate asked for to the one that is used.
        check_vocabulary: refuses a checkpoint whose names are others.
    """

    encoder_input: Callable[[Tensor], Tensor]
    log_var: Callable[[Tensor, float], Tensor]
    log_mean: Callable[[Tensor, Tensor], Tensor]
    likelihood: Callable[[Tensor, Tensor, Tensor], Tensor]
    vae_loss: Callable[[Tensor, Tensor], Tensor]
    code: Callable[[Tensor], Tensor]
    asked_code: Callable[[Tensor], Tensor]
    coefficients: Callable[[Adapter, Tensor, Tensor, Tensor], Tensor]
    posterior_mode: Callable[[nn.Module], nn.Module]
    flow_parameters: Callable[[Sequence[nn.Module], nn.Module], list[nn.Parameter]]
    latents: Callable[[Encode, Study, FlowBatch], tuple[Tensor, Tensor]]
    joint_loss: Callable[[Tensor, Tensor], Tensor]
    joint_latents: Callable[[Tensor], Tensor]
    distance_target: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    velocity: Callable[[Tensor], Tensor]
    time_features: Callable[[Tensor], Tensor]
    update: Callable[[Tensor, Optimizer, Sequence[nn.Parameter], float], Tensor]
    learning_rate: Callable[[float], float]
    check_vocabulary: Callable[[Vocabulary, Vocabulary], None]
