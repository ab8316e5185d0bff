"""A trained estimator as a file: safetensors and JSON, with everything that `predict` needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.estimate import Estimator
from evenkeel_recipes.deconvolution.intervals import Calibration
from evenkeel_recipes.deconvolution.mixtures import Signature
from evenkeel_recipes.deconvolution.model import Autoencoder, Deconvolution
from evenkeel_recipes.deconvolution.science import Science
from evenkeel_recipes.kit.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from evenkeel_recipes.kit.options import as_mapping
from evenkeel_recipes.kit.refusal import Refused

SIZES = ("hidden_dim", "latent_dim", "dropout", "members")


@dataclass(frozen=True, slots=True)
class Kept:
    """An estimator with the names of its genes and types."""

    estimator: Estimator
    genes: tuple[str, ...]
    types: tuple[str, ...]


def write_kept(path: Path, kept: Kept, config: RunConfig) -> None:
    """Write it.

    Raises:
        Refused: a tensor is not finite; what stood there is left.
    """
    estimator = kept.estimator
    signature = estimator.signature
    arrays = {
        "signature.composition": signature.composition,
        "signature.content": signature.content,
        "signature.background": signature.background,
        "calibration.widths": estimator.calibration.widths,
        "calibration.edges": estimator.calibration.edges,
    }
    tensors = {f"model.{name}": tensor for name, tensor in estimator.model.state_dict().items()}
    tensors |= {name: torch.from_numpy(array) for name, array in arrays.items()}
    facts = {
        "recipe": "deconvolution",
        "genes": list(kept.genes),
        "types": list(kept.types),
        "blend": estimator.blend,
        "limit": estimator.limit,
        "options": as_mapping(config),
    }
    write_checkpoint(path, Checkpoint(tensors, facts))


def read_kept(path: Path, science: Science) -> Kept:
    """Read it.

    Raises:
        Refused: there is none, it is damaged, or of another recipe.
    """
    checkpoint = read_checkpoint(path)
    facts: dict[str, Any] = dict(checkpoint.facts)
    if facts.get("recipe") != "deconvolution":
        raise Refused(f"{path} is of recipe {facts.get('recipe')!r}, not of deconvolution")
    tensors = checkpoint.tensors
    arrays = {name: tensor.numpy() for name, tensor in tensors.items() if not name.startswith("model.")}
    signature = Signature(*(arrays[f"signature.{name}"] for name in ("composition", "content", "background")))
    config = RunConfig(**{name: facts["options"][name] for name in SIZES})
    model = _empty(signature, config, science)
    model.load_state_dict({name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")})
    calibration = Calibration(arrays["calibration.widths"], arrays["calibration.edges"])
    estimator = Estimator(model.eval(), science.emitted, signature, facts["blend"], calibration, facts["limit"])
    return Kept(estimator, _names(facts["genes"]), _names(facts["types"]))


def _empty(signature: Signature, config: RunConfig, science: Science) -> Deconvolution:
    """A model of the right shape, to be filled."""
    n_types, n_genes = signature.composition.shape
    nothing = torch.zeros(n_genes)
    composed = torch.from_numpy(signature.composition).float()
    return Deconvolution(
        Autoencoder(nothing, nothing, config.hidden_dim, config.latent_dim, science.bounded),
        science.signature(composed, torch.from_numpy(signature.background).float()),
        science.networks(n_genes, n_types, config),
        torch.from_numpy(signature.content).float(),
    )


def _names(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(given)
