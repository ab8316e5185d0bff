"""A single-cell VAE with one prototype per cell type, and a network from a bulk to its cell types."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LATENT, HIDDEN = 16, 128
LOGVAR_BOUND = 10.0
KL_WEIGHT = 0.1


class CellVAE(nn.Module):
    """Single cells in log1p(CP10K), to a latent space and back."""

    def __init__(self, num_genes: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(num_genes, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, num_genes))

    def forward(self, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the reconstruction, and mean and log-variance of the latent."""
        mean, raw = self.encoder(cells).chunk(2, dim=1)
        logvar = LOGVAR_BOUND * torch.tanh(raw / LOGVAR_BOUND)  # so that exp(logvar) cannot overflow
        latent = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        return self.decoder(latent), mean, logvar


class Deconvolver(nn.Module):
    """One row per bulk, to one logit per cell type."""

    def __init__(self, num_genes: int, num_types: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(num_genes, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN // 2),
            nn.ReLU(),
            nn.Linear(HIDDEN // 2, num_types),
        )

    def forward(self, bulk: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.layers(bulk)
        return logits

    def start_at_zero(self) -> None:
        """Make every logit 0, so that what the logits are added to decides at first."""
        last = self.layers[-1]
        for parameter in last.parameters():
            nn.init.zeros_(parameter)


class PrototypeModel(nn.Module):
    """The VAE, the prototypes and the deconvolver, trained together."""

    def __init__(self, counts_of_type: Tensor) -> None:
        """Start the prototypes at the summed counts of each type, [types, genes]."""
        super().__init__()
        num_types, num_genes = counts_of_type.shape
        self.vae = CellVAE(num_genes)
        self.prototype_logits = nn.Parameter(torch.log1p(counts_of_type))
        self.deconvolver = Deconvolver(num_genes, num_types)

    def cell_loss(self, cells: Tensor, labels: Tensor) -> Tensor:
        """Reconstruct each cell, keep its latent near N(0, 1), and hold it near its prototype."""
        rebuilt, mean, logvar = self.vae(cells)
        divergence = -0.5 * (1 + logvar - mean.square() - logvar.exp()).sum(dim=1).mean()
        prototypes = torch.log1p(1e4 * self.prototype_logits.softmax(dim=1))
        prototype_loss = F.mse_loss(rebuilt, prototypes[labels])
        loss: Tensor = F.mse_loss(rebuilt, cells) + KL_WEIGHT * divergence + prototype_loss
        return loss


def sum_by_type(counts: Tensor, labels: Tensor, num_types: int) -> Tensor:
    """Sum the counts of all cells of a type, [types, genes]."""
    return torch.zeros(num_types, counts.shape[1]).index_add(0, labels, counts)
