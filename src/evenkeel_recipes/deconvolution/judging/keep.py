"""A trained estimator as a file: safetensors and JSON, with everything that `predict` needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data.mixtures import Signature
from evenkeel_recipes.deconvolution.faults import FAULTS
from evenkeel_recipes.deconvolution.judging.estimate import Estimator
from evenkeel_recipes.deconvolution.likelihoods.intervals import Calibration
from evenkeel_recipes.deconvolution.networks.model import Autoencoder, Deconvolution
from evenkeel_recipes.deconvolution.science import Science, healthy
from evenkeel_recipes.kit.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from evenkeel_recipes.kit.faults import planted
from evenkeel_recipes.kit.options import as_mapping, from_mapping
from evenkeel_recipes.kit.refusal import Refused

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kept:
    """An estimator with the names of its genes and types, and of the faults that were planted in its run."""

    estimator: Estimator
    genes: tuple[str, ...]
    types: tuple[str, ...]
    faults: tuple[str, ...] = ()


def write_kept(path: Path, kept: Kept, config: RunConfig) -> None:
    """Write it.

    Raises:
        Refused: a tensor is not finite; what stood there is left.
    """
    estimator = kept.estimator
    arrays = _arrays("signature", estimator.signature) | _arrays("calibration", estimator.calibration)
    tensors = {f"model.{name}": tensor for name, tensor in estimator.model.state_dict().items()}
    tensors |= {name: torch.from_numpy(array) for name, array in arrays.items()}
    facts = {
        "recipe": "deconvolution",
        "genes": list(kept.genes),
        "types": list(kept.types),
        "weights": estimator.weights.tolist(),
        "options": as_mapping(config),
    }
    write_checkpoint(path, Checkpoint(tensors, facts))


def read_kept(path: Path) -> Kept:
    """Read it.

    Raises:
        Refused: there is none, it is damaged, or of another recipe.
    """
    checkpoint = read_checkpoint(path)
    facts: dict[str, Any] = dict(checkpoint.facts)
    if facts.get("recipe") != "deconvolution":
        raise Refused(f"{path} is of recipe {facts.get('recipe')!r}, not of deconvolution")
    if "weights" not in facts:
        raise Refused(f"{path} has no weights of its networks: written by another version; train again")
    tensors = checkpoint.tensors
    arrays = {name: tensor.numpy() for name, tensor in tensors.items() if not name.startswith("model.")}
    signature = Signature(*_values(path, arrays, "signature", Signature))
    config = from_mapping(RunConfig, facts["options"])
    science = planted(healthy(config), config.fault, FAULTS)  # a model with a fault has other parts
    model = _empty(signature, config, science)
    weights = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise Refused(f"{path} is of a model that this version does not build; train again: {error}") from error
    calibration = Calibration(*_values(path, arrays, "calibration", Calibration))
    estimator = Estimator(model.eval(), science.emitted, signature, np.array(facts["weights"]), calibration)
    return Kept(estimator, _names(facts["genes"]), _names(facts["types"]), config.fault)


def _arrays(name: str, values: Signature | Calibration) -> dict[str, Array]:
    """The fields of a dataclass of arrays, under names of their own."""
    return {f"{name}.{field.name}": getattr(values, field.name) for field in fields(values)}


def _values(path: Path, arrays: Mapping[str, Array], name: str, kind: type[Signature | Calibration]) -> Iterator[Array]:
    """The way back."""
    for field in fields(kind):
        if f"{name}.{field.name}" not in arrays:
            raise Refused(f"{path} has no {name}.{field.name}: written by another version; train again")
        yield arrays[f"{name}.{field.name}"]


def _empty(signature: Signature, config: RunConfig, science: Science) -> Deconvolution:
    """A model of the right shape, to be filled."""
    n_types, n_genes = signature.composition.shape
    mean, scale = torch.zeros(2, n_genes)  # two: each is filled with its own
    composed = torch.from_numpy(signature.composition).float()
    return Deconvolution(
        Autoencoder(mean, scale, config.hidden, config.latent_dim, science.bounded),
        science.signature(composed, torch.from_numpy(signature.background).float()),
        science.networks(n_genes, n_types, config),
        torch.from_numpy(signature.content).float(),
    )


def _names(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(given)
