"""The exchangeable parts of the recipe: what is right stands here, what history did instead in `faults`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evenkeel import ops
from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data.mixtures import Mixtures, Signature, composition, network_input
from evenkeel_recipes.deconvolution.data.reference import Parts, Reference, three_parts
from evenkeel_recipes.deconvolution.data.validate import validate
from evenkeel_recipes.deconvolution.likelihoods.likelihood import BELIEFS, DEPTH
from evenkeel_recipes.deconvolution.networks import losses
from evenkeel_recipes.deconvolution.networks.model import (
    BulkInput,
    BulkNetwork,
    FreeNetwork,
    LastLikelihood,
    Read,
    SignatureTable,
    logs_and_expression,
    logs_of_estimates,
)
from evenkeel_recipes.deconvolution.networks.schedules import SCHEDULES, Schedule
from evenkeel_recipes.deconvolution.networks.streams import EpochLength, epoch_length

Array = NDArray[np.float64]
DEFAULT = RunConfig()
Networks = Callable[[int, int, RunConfig], list[nn.Module]]
Proportion = Callable[[Tensor, Tensor], Tensor]
BulkLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Weights:
    """What the terms of the loss count beside the reconstruction of cells, which counts once."""

    kl: float
    proto: float
    bulk: float
    bulk_recon: float


@dataclass(frozen=True, slots=True)
class Preset:
    """A loss of the proportions, and the weights that go with it."""

    proportion: Proportion
    weights: Weights


@dataclass(frozen=True, slots=True)
class Science:
    """Each field is one decision; see the functions of the same names below.

    Attributes:
        configured: what of the command line is used.
        parts: how cells are divided between training and judging.
        labels: the truth of pseudo-bulk samples.
        content: mRNA of a cell of each type, [K].
        bulk_view: what a network is given of the counts of bulk samples, [samples, genes].
        bulk_target: what the mix is compared with, out of that view.
        cell_view: what the autoencoder is given of cells in counts per ten thousand.
        bounded: the log-variance of a raw output.
        signature: the module that holds what the types look like, of composition and background.
        log_view: a signature in the scale of the cells.
        networks: the modules that make logits of a bulk sample.
        emitted: what becomes of their logits.
        proportion: the loss of logits beside the truth.
        weights: of the terms of the loss.
        bulk_loss: the loss of shares of mRNA and a signature beside the composition of a bulk sample.
        epoch: pairs in an epoch, of bulk samples and cells.
        schedule: how the step size changes over so many updates.
        stored: what happens to the files of the samples after they have been written.
        validated: refuses samples that cannot be trained on.
        watched: whether anybody stops the run at a bad number.
    """

    configured: Callable[[RunConfig], RunConfig]
    parts: Callable[[Reference, int], Parts]
    labels: Callable[[Mixtures], Array]
    content: Callable[[Signature], Array]
    bulk_view: Callable[[Array], NDArray[np.float32]]
    bulk_target: Callable[[Tensor], Tensor]
    cell_view: Callable[[Tensor], Tensor]
    bounded: Callable[[Tensor], Tensor]
    signature: Callable[[Tensor, Tensor], nn.Module]
    log_view: Callable[[Tensor], Tensor]
    networks: Networks
    emitted: Callable[[Tensor], Tensor]
    proportion: Proportion
    weights: Weights
    bulk_loss: BulkLoss
    epoch: EpochLength
    schedule: Schedule
    stored: Callable[[Path], None]
    validated: Callable[[Path, NDArray[np.float32], Array, Reference], None]
    watched: bool


def healthy(config: RunConfig = DEFAULT) -> Science:
    """The recipe as it should be, with the parts that the options ask for."""
    preset = PRESETS[config.preset]
    return Science(
        configured=as_given,
        parts=three_parts,
        labels=realised,
        content=measured_content,
        bulk_view=log_per_ten_thousand,
        bulk_target=composition_of_view,
        cell_view=torch.log1p,
        bounded=partial(ops.bounded_log_var, bound=config.logvar_bound),
        signature=SignatureTable,
        log_view=losses.log_view,
        networks=HEADS[config.head],
        emitted=as_emitted,
        proportion=preset.proportion,
        weights=weights_of(config, preset.weights),
        bulk_loss=RECONSTRUCTIONS[config.recon],
        epoch=epoch_length(config.epoch_len),
        schedule=SCHEDULES[config.schedule],
        stored=left_alone,
        validated=validate,
        watched=True,
    )


def as_given(config: RunConfig) -> RunConfig:
    """Every option counts."""
    return config


def realised(mixtures: Mixtures) -> Array:
    """The cells that went in."""
    return mixtures.fractions


def measured_content(signature: Signature) -> Array:
    """As the reference has it."""
    return signature.content


def log_per_ten_thousand(counts: Array) -> NDArray[np.float32]:
    """Between 0 and 9.2104, whatever the depth."""
    return network_input(composition(counts))


def composition_of_view(view: Tensor) -> Tensor:
    """The way back from `log_per_ten_thousand`: rows sum to 1."""
    linear = torch.expm1(view)
    return linear / linear.sum(-1, keepdim=True)


def anchored(n_genes: int, n_types: int, config: RunConfig) -> list[nn.Module]:
    """The last likelihood, and networks that start from all: `members` of each kind, one kind after the other."""
    n_estimates, kinds = len(BELIEFS), RESIDUAL_INPUTS[config.residual_inputs]
    sample = BulkInput(torch.ones(1, n_estimates, n_types), torch.zeros(1), torch.zeros(1, n_genes))
    members = [
        BulkNetwork(n_estimates, n_types, read, read(sample).shape[1], config.hidden, config.dropout)
        for read in kinds
        for _ in range(config.members)
    ]
    return [LastLikelihood(), *members]


def free(n_genes: int, n_types: int, config: RunConfig) -> list[nn.Module]:
    """Networks that nothing anchors; one more stands in the place of the likelihood, so that none has a say."""
    return [FreeNetwork(n_genes, n_types, config.hidden, config.dropout) for _ in range(1 + config.members)]


def as_emitted(logits: Tensor) -> Tensor:
    """Nothing comes between a network and its loss."""
    return logits


def deviance_of_the_mix(shares: Tensor, signature: Tensor, bulk: Tensor, negentropy: Tensor) -> Tensor:
    """Mix in linear space, compare compositions."""
    return losses.bulk_deviance(losses.mixed(shares, signature), bulk, negentropy)


def counts_of_the_mix(shares: Tensor, signature: Tensor, bulk: Tensor, _: Tensor) -> Tensor:
    """Mix in linear space, compare counts, as deep and as dispersed as the last of the likelihoods takes them."""
    return losses.bulk_likelihood(losses.mixed(shares, signature), bulk, DEPTH, BELIEFS[-1].dispersion)


def logarithms_of_the_mix(shares: Tensor, signature: Tensor, bulk: Tensor, _: Tensor) -> Tensor:
    """Mix in linear space, compare logarithms of the mix and of the sample."""
    return losses.bulk_logarithms(losses.mixed(shares, signature), bulk)


def weights_of(config: RunConfig, preset: Weights) -> Weights:
    """Those that were given, and of the preset where none was."""
    return Weights(
        kl=preset.kl if config.lambda_kl is None else config.lambda_kl,
        proto=preset.proto if config.lambda_proto is None else config.lambda_proto,
        bulk=preset.bulk if config.lambda_bulk is None else config.lambda_bulk,
        bulk_recon=preset.bulk_recon if config.lambda_bulk_recon is None else config.lambda_bulk_recon,
    )


def left_alone(directory: Path) -> None:
    """Files stay as they were written."""


RESIDUAL_INPUTS: Mapping[str, tuple[Read, ...]] = {
    "logq": (logs_of_estimates,),
    "logq+x": (logs_and_expression,),
    "auto": (logs_of_estimates, logs_and_expression),
}
HEADS: Mapping[str, Networks] = {"anchored": anchored, "free": free}
RECONSTRUCTIONS: Mapping[str, BulkLoss] = {
    "deviance": deviance_of_the_mix,
    "nb": counts_of_the_mix,
    "mse_log1p": logarithms_of_the_mix,
}
PRESETS: Mapping[str, Preset] = {
    "default": Preset(losses.proportion, Weights(kl=0.1, proto=1.0, bulk=1.0, bulk_recon=0.5)),
    "late": Preset(losses.squared_proportion, Weights(kl=0.01, proto=0.1, bulk=10.0, bulk_recon=5.0)),
}
