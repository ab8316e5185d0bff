"""What went wrong in the ancestor of this recipe, to be planted by name: `--fault kl_log_zero`."""

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
from evenkeel_recipes.deconvolution.data import Parts, Reference
from evenkeel_recipes.deconvolution.mixtures import TARGET_SUM, Mixtures, Signature
from evenkeel_recipes.deconvolution.model import FreeNetwork
from evenkeel_recipes.deconvolution.science import Array, Science
from evenkeel_recipes.kit.faults import Fault

# ------------------------------------------------------------------------------- the lines of the time


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


def raw_beside_logarithms(shares: Tensor, signature: Tensor, bulk: Tensor) -> Tensor:
    """A mix of logarithms, about 1, beside raw counts, about 100,000."""
    return (shares @ torch.log1p(TARGET_SUM * signature) - bulk).square().mean()


def mixed_in_logarithms(shares: Tensor, signature: Tensor, bulk: Tensor) -> Tensor:
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


def linear_beside_linear(shares: Tensor, prototypes: Tensor, bulk: Tensor) -> Tensor:
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


def free_networks(n_genes: int, n_types: int, config: RunConfig) -> list[nn.Module]:
    """The ancestor's network, which nothing anchors."""
    return [FreeNetwork(n_genes, n_types, config.hidden_dim, config.dropout) for _ in range(2)]


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
    manifest["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest_path.write_text(json.dumps(manifest), encoding="utf-8")


def half_of_the_options(config: RunConfig) -> RunConfig:
    """Some options are parsed and never used."""
    default = RunConfig()
    return replace(config, latent_dim=default.latent_dim, hidden_dim=default.hidden_dim, patience=default.patience)


# ------------------------------------------------------------------------------------------ the table


def _raw(science: Science) -> Science:
    """Raw bulk reaches the ancestor's network, and nobody checks it."""
    return replace(
        science,
        bulk_view=raw_counts,
        bulk_target=as_stored,
        bulk_loss=raw_beside_logarithms,
        networks=free_networks,
        validated=unchecked,
    )


FAULTS: tuple[Fault[Science], ...] = (
    Fault(
        name="kl_log_zero",
        happened="the loss is inf in the first step and every parameter NaN in the second; validation is NaN for ever",
        cause="raw bulk sums saturate a softmax to exactly 0, and its logarithm is taken under a target above 0",
        says="evenkeel run: step 0, phase forward, the line with `predicted.log()`, family domain; the softmax "
        "before it is 0 because logits lie hundreds apart",
        loud=True,
        plant=lambda science: replace(_raw(science), proportion=kl_by_log_of_softmax),
    ),
    Fault(
        name="kl_clamp_true",
        happened="the same, after a fix",
        cause="the clamp guards the target, whose zeros count for nothing; the failing logarithm is the prediction's",
        says="evenkeel run: as kl_log_zero",
        loud=True,
        plant=lambda science: replace(_raw(science), proportion=kl_with_the_target_clamped),
    ),
    Fault(
        name="kl_clamp_pred",
        happened="finite; a type that was suppressed once never returns",
        cause="the prediction is clamped at 1e-10, below which its slope is exactly 0",
        says="sentinel: share of entries at the clamp under a target above 0, and that they get no gradient",
        loud=False,
        plant=lambda science: replace(_raw(science), proportion=kl_with_the_prediction_clamped),
    ),
    Fault(
        name="raw_bulk",
        happened="the reconstruction term is 1e9 and drowns all others",
        cause="raw bulk counts are compared with a mix of logarithms",
        says="audit of the data: ranges of bulk and signature; checkup: one term is 1e9 times the others",
        loud=False,
        plant=_raw,
    ),
    Fault(
        name="log_mixing",
        happened="finite and biased",
        cause="types are mixed after the logarithm; log1p(Σ p s) is not Σ p log1p(s)",
        says="scores: signature worse than the linear baseline's; lint: a weighted sum of log1p beside a log1p",
        loud=False,
        plant=lambda science: replace(science, bulk_loss=mixed_in_logarithms),
    ),
    Fault(
        name="no_cell_size",
        happened="every estimate is biased towards types of large cells; nobody noticed",
        cause="labels are fractions of cells, mixtures are weighted by mRNA, and nothing converts one to the other",
        says="audit of the run: the residual of a type correlates with the logarithm of its mRNA content",
        loud=False,
        plant=lambda science: replace(science, content=all_cells_alike),
    ),
    Fault(
        name="free_signature",
        happened="the prototype term is NaN",
        cause="prototypes are free numbers in counts per million, and log1p(S/100) has no value below -100",
        says="evenkeel run: step 0, phase forward, the line with `torch.log1p(prototypes / 100)`, family domain",
        loud=True,
        plant=lambda science: replace(
            science, signature=FreePrototypes, log_view=log_of_hundredths, bulk_loss=linear_beside_linear
        ),
    ),
    Fault(
        name="unbounded_logvar",
        happened="the divergence overflows",
        cause="exp of a log-variance that nothing bounds, with cells that are hundreds instead of ones",
        says="evenkeel run: step 0, phase forward, exp of the log-variance or what it overflows in next, family range",
        loud=True,
        plant=lambda science: replace(science, bounded=unbounded, cell_view=without_logarithm),
    ),
    Fault(
        name="label_draw",
        happened="scores stop improving a little too early",
        cause="the truth is the Dirichlet draw, not the cells that were drawn from it",
        says="audit of the data: proportions times the number of cells are no whole numbers",
        loud=False,
        plant=lambda science: replace(science, labels=draw_of_the_dirichlet),
    ),
    Fault(
        name="leaky_split",
        happened="validation never sees overfitting",
        cause="mixtures to train, to choose and to judge by are made of the same cells",
        says="audit of the data: names of cells that are in two splits",
        loud=False,
        plant=lambda science: replace(science, parts=all_cells_everywhere),
    ),
    Fault(
        name="nan_print_only",
        happened="training completed successfully, best file val_loss=nan",
        cause="bad losses are printed and nothing else; every comparison with NaN is false",
        says="evenkeel run: as kl_log_zero; without it the checkpoint is refused, exit status 4",
        loud=True,
        plant=lambda science: replace(_raw(science), proportion=kl_by_log_of_softmax, watched=False),
    ),
    Fault(
        name="dead_head",
        happened="finite, and no better than a constant",
        cause="a head without a gradient says the same of every sample",
        says="gradient flow: the networks get no gradient; scores: skill not above 0, predictions do not vary",
        loud=False,
        plant=lambda science: replace(science, emitted=nothing),
    ),
    Fault(
        name="stale_npy",
        happened="a model trained on the samples of last month",
        cause="files are told apart by looking at their dates",
        says="the manifest: which file, which two hashes; exit status 4",
        loud=False,
        plant=lambda science: replace(science, stored=stale_file),
    ),
    Fault(
        name="gene_shuffle",
        happened="a model that works, on its own data",
        cause="genes of the bulk stand in another order than the reference's",
        says="the manifest: from which gene on; exit status 4",
        loud=False,
        plant=lambda science: replace(science, stored=shuffled_genes),
    ),
    Fault(
        name="zero_total_row",
        happened="a failed sample was copied through without being normalised",
        cause="a division by its sum of 0 was skipped",
        says="validation: which row of which file; exit status 4",
        loud=False,
        plant=lambda science: replace(science, stored=sample_without_counts),
    ),
    Fault(
        name="cli_drop",
        happened="options changed nothing",
        cause="they were parsed and never copied",
        says="audit of the configuration: options given that the resolved configuration does not show",
        loud=False,
        plant=lambda science: replace(science, configured=half_of_the_options),
    ),
)
