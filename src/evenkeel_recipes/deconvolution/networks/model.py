"""The model: an autoencoder of cells, what the types look like, and the network that reads a bulk sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from evenkeel import ops

FLOOR = 1e-4  # share of the background in each row of the signature: its logarithm has a slope everywhere
MOST_EXPRESSION = 9.2104  # log1p of counts per ten thousand where one gene has them all
SMOOTHING = 1e-2  # of an estimate, shared by all types, before its logarithm
FAINT = 1e-4  # the same, where nothing is learned from the logarithm


@dataclass(frozen=True, slots=True)
class Encoded:
    """A batch of cells, decoded: [B, G]; mean and log-variance of the posterior: [B, D]; float32 under autocast too."""

    decoded: Tensor
    mean: Tensor
    log_var: Tensor


@dataclass(frozen=True, slots=True)
class BulkInput:
    """What the network reads of a bulk sample.

    Attributes:
        estimates: [B, E, K], cell fractions by E likelihoods.
        misfit: [B], log of the overdispersion that the sample shows beside the reference.
        expression: [B, G], log1p of counts per ten thousand.
    """

    estimates: Tensor
    misfit: Tensor
    expression: Tensor


Read = Callable[[BulkInput], Tensor]


class Autoencoder(nn.Module):
    """Cells [B, G] in log1p of counts per ten thousand, through D numbers and back. `bound` limits the log-variance."""

    def __init__(
        self, mean: Tensor, scale: Tensor, hidden: Sequence[int], latent: int, bounded: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.bounded = bounded
        self.mean: Tensor
        self.scale: Tensor
        genes = len(mean)
        self.encoder = _layers([genes, *hidden, 2 * latent], _active)
        self.decoder = _layers([latent, *reversed(hidden), genes], _active)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        _xavier(self)

    def forward(self, cells: Tensor) -> Encoded:
        """Encode and decode; a draw from the posterior while training, its mean after."""
        mean, raw = self.encoder((cells - self.mean) / self.scale).float().chunk(2, dim=-1)
        log_var = self.bounded(raw)
        drawn = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean) if self.training else mean
        return Encoded(self.decoder(drawn).float(), mean, log_var)


class SignatureTable(nn.Module):
    """Compositions of the types, learned: rows sum to 1 and stay above 0, because a share of them is background."""

    def __init__(self, composition: Tensor, background: Tensor) -> None:
        super().__init__()
        self.background: Tensor
        self.logits = nn.Parameter(torch.log(composition))
        self.register_buffer("background", background)

    def forward(self) -> Tensor:
        """[K, G], rows sum to 1."""
        return (1 - FLOOR) * ops.softmax(self.logits) + FLOOR * self.background


class LastLikelihood(nn.Module):
    """Logits of cell fractions: the estimate of the last likelihood, smoothed by 0.0001/K; nothing is trained."""

    def forward(self, bulk: BulkInput) -> Tensor:
        """[B, K]."""
        return torch.log(bulk.estimates[:, -1] + FAINT / bulk.estimates.shape[-1])


class WeightedLikelihoods(nn.Module):
    """Logits of cell fractions: the mean of the likelihoods' estimates, weighted by the misfit of the sample alone.

    At the start the last counts e² times as much as each of the others. A type is smoothed by 0.01/K before its
    logarithm.
    """

    def __init__(self, n_estimates: int) -> None:
        super().__init__()
        last = nn.Linear(8, n_estimates)
        self.gate = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), last)
        self.sharpness = nn.Parameter(torch.ones(()))
        _xavier(self)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias[-1] = 2.0

    def forward(self, bulk: BulkInput) -> Tensor:
        """[B, K]."""
        weights = ops.softmax(self.gate(centred(bulk.misfit)))
        mean = (weights[..., None] * bulk.estimates).sum(1)
        logits: Tensor = self.sharpness * torch.log(mean + SMOOTHING / mean.shape[-1])
        return logits


def logs_of_estimates(bulk: BulkInput) -> Tensor:
    """[B, E·K + 1]: logarithms of the estimates, smoothed, and the misfit; about ±1."""
    logs = (torch.log(bulk.estimates + SMOOTHING / bulk.estimates.shape[-1]) + 3) / 2
    return torch.cat([logs.flatten(1), centred(bulk.misfit)], dim=1)


def logs_and_expression(bulk: BulkInput) -> Tensor:
    """[B, E·K + 1 + G]: the expression as well, between 0 and 1."""
    return torch.cat([logs_of_estimates(bulk), bulk.expression / MOST_EXPRESSION], dim=1)


class BulkNetwork(nn.Module):
    """Logits of cell fractions: the weighted likelihoods, and what training found to add to them; at first nothing.

    What is added depends on what `read` makes of a sample, of that width.
    """

    def __init__(
        self, n_estimates: int, n_types: int, read: Read, width: int, hidden: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        self.read = read
        self.anchor = WeightedLikelihoods(n_estimates)
        self.residual = _layers([width, *hidden, n_types], partial(_dropped, dropout))
        _xavier(self.residual)
        nn.init.zeros_(self.residual[-1].get_parameter("weight"))

    def forward(self, bulk: BulkInput) -> Tensor:
        """[B, K]."""
        logits: Tensor = self.anchor(bulk) + self.residual(self.read(bulk))
        return logits


def centred(misfit: Tensor) -> Tensor:
    """[B, 1], about ±1 between a perfect reference and another technology."""
    return (misfit[:, None] + 2) / 2


class FreeNetwork(nn.Module):
    """The ancestor's network: logits [B, K] out of the expression alone."""

    def __init__(self, n_genes: int, n_types: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.layers = _layers([n_genes, *hidden, n_types], partial(_dropped, dropout))
        _xavier(self)

    def forward(self, bulk: BulkInput) -> Tensor:
        """[B, K]."""
        logits: Tensor = self.layers(bulk.expression)
        return logits


class Deconvolution(nn.Module):
    """All that is trained.

    Args:
        autoencoder: of cells.
        signature: what the types look like.
        networks: of bulk samples; the first one is the last likelihood, or stands in its place.
        content: [K], what a cell of each type holds of mRNA, relative.
    """

    def __init__(
        self, autoencoder: Autoencoder, signature: nn.Module, networks: Sequence[nn.Module], content: Tensor
    ) -> None:
        super().__init__()
        self.content: Tensor
        self.autoencoder = autoencoder
        self.signature = signature
        self.networks = nn.ModuleList(networks)
        self.register_buffer("content", content)

    def logits(self, bulk: BulkInput) -> Tensor:
        """[M, B, K] float32, of each of the M networks."""
        return torch.stack([network(bulk) for network in self.networks]).float()


def _layers(widths: Sequence[int], between: Callable[[], Sequence[nn.Module]]) -> nn.Sequential:
    """Linear layers from width to width, with new modules of `between` before each but the first."""
    first, *others = pairwise(widths)
    layers: list[nn.Module] = [nn.Linear(*first)]
    for pair in others:
        layers += [*between(), nn.Linear(*pair)]
    return nn.Sequential(*layers)


def _active() -> Sequence[nn.Module]:
    return (nn.ReLU(),)


def _dropped(share: float) -> Sequence[nn.Module]:
    return nn.ReLU(), nn.Dropout(share)


def _xavier(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
