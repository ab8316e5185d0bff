"""The VAE of counts: an encoder to two Gaussians, and a decoder to a logit for each gene."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from evenkeel_recipes.virtual_cell.model.latents import Posterior
from evenkeel_recipes.virtual_cell.model.parts import Parts
from evenkeel_recipes.virtual_cell.model.sizes import DIM_EMBEDDED, Sizes

LOG_THETA_RANGE = (math.log(1e-3), math.log(1e4))


class Encoder(nn.Module):
    """log1p counts, batch and cell type to a Gaussian of intrinsic and one of technical latents."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.bound = sizes.log_var_bound
        self.of_batch = nn.Embedding(sizes.n_batch, DIM_EMBEDDED)
        self.of_type = nn.Embedding(sizes.n_types, DIM_EMBEDDED)
        self.trunk = _trunk(sizes.n_genes + 2 * DIM_EMBEDDED, sizes.hidden_dim, sizes.dropout)
        self.mean = nn.Linear(sizes.hidden_dim, sizes.dim_int)
        self.raw = nn.Linear(sizes.hidden_dim, sizes.dim_int)
        self.tech_mean = nn.Linear(sizes.hidden_dim, sizes.dim_tech)
        self.tech_raw = nn.Linear(sizes.hidden_dim, sizes.dim_tech)

    def forward(self, counts: Tensor, batch: Tensor, cell_type: Tensor, parts: Parts) -> Posterior:
        """Counts float32 [B, genes], places int64 [B]."""
        seen = torch.cat([parts.encoder_input(counts), self.of_batch(batch), self.of_type(cell_type)], 1)
        h = self.trunk(seen)
        log_var = parts.log_var(self.raw(h).float(), self.bound)
        tech_log_var = parts.log_var(self.tech_raw(h).float(), self.bound)
        return Posterior(self.mean(h).float(), log_var, self.tech_mean(h).float(), tech_log_var)


class Decoder(nn.Module):
    """Latents to a logit for each gene; theta of a gene lies between 1e-3 and 1e4, smoothly."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.trunk = _trunk(sizes.dim_int + sizes.dim_tech, sizes.hidden_dim, sizes.dropout)
        self.logits = nn.Linear(sizes.hidden_dim, sizes.n_genes)
        self.raw_theta = nn.Parameter(torch.zeros(sizes.n_batch if sizes.per_batch_theta else 1, sizes.n_genes))
        self.checkpointing = sizes.checkpointing

    def forward(self, z: Tensor, z_tech: Tensor) -> Tensor:
        """[B, dim_int] and [B, dim_tech] to float32 logits [B, genes]."""
        both = torch.cat([z, z_tech], 1)
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(self._logits, both, use_reentrant=False).float()  # type: ignore[no-any-return]
        return self._logits(both).float()

    def log_theta(self, batch: Tensor) -> Tensor:
        """[1, genes], or [B, genes] where each batch has its own."""
        low, high = LOG_THETA_RANGE
        rows = self.raw_theta[batch] if len(self.raw_theta) > 1 else self.raw_theta
        return low + (high - low) * torch.sigmoid(rows)

    def _logits(self, both: Tensor) -> Tensor:
        return self.logits(self.trunk(both))  # type: ignore[no-any-return]


def _trunk(n_in: int, width: int, dropout: float) -> nn.Sequential:
    layers = [
        nn.Linear(n_in, width),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Dropout(dropout),
    ]
    return nn.Sequential(*layers)
