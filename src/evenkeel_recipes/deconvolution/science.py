"""The exchangeable parts of the recipe: what is right stands here, what history did instead in `faults`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evenkeel import ops
from evenkeel_recipes.deconvolution import losses
from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data import Parts, Reference, three_parts
from evenkeel_recipes.deconvolution.likelihood import BELIEFS
from evenkeel_recipes.deconvolution.mixtures import Mixtures, Signature, composition, network_input
from evenkeel_recipes.deconvolution.model import LOG_VAR_BOUND, BulkNetwork, SignatureTable, WeightedLikelihoods
from evenkeel_recipes.deconvolution.validate import validate

Array = NDArray[np.float64]


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
        bulk_loss: the loss of shares of mRNA and a signature beside the composition of a bulk sample.
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
    networks: Callable[[int, int, RunConfig], list[nn.Module]]
    emitted: Callable[[Tensor], Tensor]
    proportion: Callable[[Tensor, Tensor], Tensor]
    bulk_loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    stored: Callable[[Path], None]
    validated: Callable[[Path, NDArray[np.float32], Array, Reference], None]
    watched: bool


def healthy() -> Science:
    """The recipe as it should be."""
    return Science(
        configured=as_given,
        parts=three_parts,
        labels=realised,
        content=measured_content,
        bulk_view=log_per_ten_thousand,
        bulk_target=composition_of_view,
        cell_view=torch.log1p,
        bounded=smoothly_bounded,
        signature=SignatureTable,
        log_view=losses.log_view,
        networks=anchored,
        emitted=as_emitted,
        proportion=losses.proportion,
        bulk_loss=deviance_of_the_mix,
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


def smoothly_bounded(raw: Tensor) -> Tensor:
    """Within ±10, with a slope everywhere."""
    return ops.bounded_log_var(raw, LOG_VAR_BOUND)


def anchored(n_genes: int, n_types: int, config: RunConfig) -> list[nn.Module]:  # noqa: ARG001  one signature for all
    """The weighted likelihoods, and networks that start from them."""
    n_estimates = len(BELIEFS)
    members = [BulkNetwork(n_estimates, n_types, config.hidden_dim, config.dropout) for _ in range(config.members)]
    return [WeightedLikelihoods(n_estimates), *members]


def as_emitted(logits: Tensor) -> Tensor:
    """Nothing comes between a network and its loss."""
    return logits


def deviance_of_the_mix(shares: Tensor, signature: Tensor, bulk: Tensor, negentropy: Tensor) -> Tensor:
    """Mix in linear space, compare compositions."""
    return losses.bulk_deviance(losses.mixed(shares, signature), bulk, negentropy)


def left_alone(directory: Path) -> None:
    """Files stay as they were written."""
