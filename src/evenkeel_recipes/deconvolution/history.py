"""The lines of the time: what the ancestor of this recipe did, where the recipe does otherwise. Kept to be planted."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data.mixtures import TARGET_SUM, Mixtures, Signature
from evenkeel_recipes.deconvolution.data.reference import Parts, Reference

Array = NDArray[np.float64]


def kl_by_log_of_softmax(logits: Tensor, target: Tensor) -> Tensor:
    """A softmax in single precision is exactly 0 from 104 below the largest logit on; its logarithm is -inf."""
    predicted = logits.softmax(-1)
    return F.kl_div(predicted.log(), target.expand_as(logits), reduction="batchmean")


def kl_with_the_target_clamped(logits: Tensor, target: Tensor) -> Tensor:
    """The fix of the time guards the operand that was never 0 to the point of harm."""
    guarded = target.clamp(min=1e-10)
    guarded = guarded / guarded.sum(-1, keepdim=True)
    predicted = logits.softmax(-1)
    return F.kl_div(predicted.log(), guarded.expand_as(logits), reduction="batchmean")


def kl_with_the_prediction_clamped(logits: Tensor, target: Tensor) -> Tensor:
    """The next fix is finite, and has a slope of exactly 0 for a type that was suppressed: it never returns."""
    predicted = logits.softmax(-1).clamp(min=1e-10)
    return F.kl_div(predicted.log(), target.expand_as(logits), reduction="batchmean")


def raw_counts(counts: Array) -> NDArray[np.float32]:
    """Sums of raw counts, in the hundred thousands, as they came."""
    return counts.astype(np.float32)


def as_stored(view: Tensor) -> Tensor:
    """The stored bulk itself is what the mix is compared with."""
    return view


def raw_beside_logarithms(shares: Tensor, signature: Tensor, bulk: Tensor, _: Tensor) -> Tensor:
    """A mix of logarithms, about 1, beside raw counts, about 100,000."""
    return (shares @ torch.log1p(TARGET_SUM * signature) - bulk).square().mean()


def mixed_in_logarithms(shares: Tensor, signature: Tensor, bulk: Tensor, _: Tensor) -> Tensor:
    """The mean of logarithms is not the logarithm of the mean."""
    return (shares @ torch.log1p(TARGET_SUM * signature) - torch.log1p(TARGET_SUM * bulk)).square().mean()


def all_cells_alike(signature: Signature) -> Array:
    """Fractions of cells taken for shares of mRNA."""
    return np.ones_like(signature.content)


class FreePrototypes(nn.Module):
    """Types as free numbers, in counts per million as the rest of the code came to take them; nothing bounds them."""

    def __init__(self, composition: Tensor, background: Tensor) -> None:  # noqa: ARG002  one signature for all
        super().__init__()
        self.prototypes = nn.Parameter(100 * torch.randn(composition.shape))

    def forward(self) -> Tensor:
        """[K, G]."""
        return self.prototypes


def log_of_hundredths(prototypes: Tensor) -> Tensor:
    """The hard-coded 100 brings 1e6 to 1e4; below -100 there is no logarithm."""
    return torch.log1p(prototypes / 100)


def linear_beside_linear(shares: Tensor, prototypes: Tensor, bulk: Tensor, _: Tensor) -> Tensor:
    """Mixed prototypes beside the bulk, both in counts per ten thousand."""
    return (shares @ prototypes / 100 - TARGET_SUM * bulk).square().mean()


def unbounded(raw: Tensor) -> Tensor:
    """Whatever the layer gives."""
    return raw


def without_logarithm(cells: Tensor) -> Tensor:
    """Cells in counts per ten thousand, linear: hundreds where the layers expect ones."""
    return cells


def draw_of_the_dirichlet(mixtures: Mixtures) -> Array:
    """What was asked for; the cells that went in are others."""
    return mixtures.asked


def all_cells_everywhere(reference: Reference, _: int) -> Parts:
    """Mixtures to judge by are made of the cells that were trained on."""
    return Parts(reference, reference, reference)


def nothing(logits: Tensor) -> Tensor:
    """A head that says the same whatever it sees, and learns nothing."""
    return 0 * logits.detach()


def unchecked(path: Path, view: NDArray[np.float32], fractions: Array, reference: Reference) -> None:
    """Nobody looks."""


def stale_file(directory: Path) -> None:
    """One file is left from another simulation."""
    path = directory / "bulk_train.npy"
    np.save(path, np.load(path)[::-1])


def shuffled_genes(directory: Path) -> None:
    """Bulk files were made with the genes in another order."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["genes"] = manifest["genes"][::-1]
    path.write_text(json.dumps(manifest), encoding="utf-8")


def sample_without_counts(directory: Path) -> None:
    """A sample that failed was copied through as it was."""
    path, manifest_path = directory / "bulk_train.npy", directory / "manifest.json"
    view = np.load(path)
    view[7] = 0
    np.save(path, view)
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    manifest["files"][path.name]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest_path.write_text(json.dumps(manifest), encoding="utf-8")


def half_of_the_options(config: RunConfig) -> RunConfig:
    """Some options are parsed and never used."""
    default = RunConfig()
    return replace(config, latent_dim=default.latent_dim, hidden_dim=default.hidden_dim, patience=default.patience)
