"""The VAE of counts, and the field that carries latents of control cells to those of perturbed ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from evenkeel_recipes.virtual_cell.parts import Parts

LOG_THETA_RANGE = (math.log(1e-3), math.log(1e4))
DIM_EMBEDDED = 8  # of batch and cell type
DIM_SPATIAL = 16
DIM_ADAPTER = 64
DIM_TIME = 16
DIM_TRUNK = 128
NUM_BASIS = 16


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a model is, and what does not change with its parameters."""

    n_genes: int
    n_batch: int
    n_types: int
    n_codes: int
    n_features: int
    spatial_dim: int = 0
    dim_int: int = 32
    dim_tech: int = 8
    hidden_dim: int = 256
    dropout: float = 0.1
    log_var_bound: float = 6.0
    per_batch_theta: bool = False
    init: str = "xavier"
    checkpointing: bool = False


class Posterior(NamedTuple):
    """Means and log-variances of both latents, [B, dim_int] and [B, dim_tech]."""

    mean: Tensor
    log_var: Tensor
    tech_mean: Tensor
    tech_log_var: Tensor


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


class Context(nn.Module):
    """Batch, cell type and, where known, position."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.of_batch = nn.Embedding(sizes.n_batch, DIM_EMBEDDED)
        self.of_type = nn.Embedding(sizes.n_types, DIM_EMBEDDED)
        self.of_place = (
            nn.Sequential(nn.Linear(sizes.spatial_dim, DIM_SPATIAL), nn.SiLU(), nn.Linear(DIM_SPATIAL, DIM_SPATIAL))
            if sizes.spatial_dim
            else None
        )
        self.width = 2 * DIM_EMBEDDED + (DIM_SPATIAL if sizes.spatial_dim else 0)

    def forward(self, batch: Tensor, cell_type: Tensor, spatial: Tensor | None) -> Tensor:
        """[B, width]. Positions float32 [B, 2 or 3] where the model knows them."""
        known = [self.of_batch(batch), self.of_type(cell_type)]
        if self.of_place is not None:
            if spatial is None:
                raise ValueError("this model was trained with positions; give `spatial` for each cell")
            known.append(self.of_place(spatial))
        return torch.cat(known, 1)


class Adapter(nn.Module):
    """g: codes and cell type to 64 numbers, without biases; `Parts.coefficients` makes an effect of it."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        layers = [nn.Linear(sizes.n_features + DIM_EMBEDDED, DIM_ADAPTER, bias=False), nn.SiLU()]
        layers += [
            nn.Linear(DIM_ADAPTER, DIM_ADAPTER, bias=False),
            nn.SiLU(),
            nn.Linear(DIM_ADAPTER, DIM_ADAPTER, bias=False),
        ]
        self.g = nn.Sequential(*layers)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor, of_type: Tensor) -> Tensor:
        """[B, features] and [B, 8] to [B, 64]."""
        return self.g(torch.cat([features, of_type], 1))  # type: ignore[no-any-return]


class Field(nn.Module):
    """The velocity of a latent: a base field of the context, and 16 basis fields weighed by the perturbation.

    Attributes:
        features: [codes, features], what a code is multiplied with; the identity where perturbations have only names.
        is_known: [codes], 1 where a code was trained; others say nothing and are left out.
    """

    features: Tensor
    is_known: Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.context = Context(sizes)
        self.adapter = Adapter(sizes)
        self.time = nn.Sequential(nn.Linear(1, DIM_TIME), nn.SiLU(), nn.Linear(DIM_TIME, DIM_TIME))
        self.trunk = nn.Sequential(
            nn.Linear(sizes.dim_int + DIM_TIME + self.context.width, DIM_TRUNK),
            nn.SiLU(),
            nn.Linear(DIM_TRUNK, DIM_TRUNK),
            nn.SiLU(),
        )
        self.base = nn.Linear(DIM_TRUNK, sizes.dim_int)
        self.basis = nn.Linear(DIM_TRUNK, NUM_BASIS * sizes.dim_int)
        self.alpha = nn.Linear(DIM_ADAPTER, NUM_BASIS, bias=False)
        self.register_buffer("features", torch.eye(sizes.n_codes, sizes.n_features))
        self.register_buffer("is_known", torch.ones(sizes.n_codes))
        self._draw(sizes.init)

    def forward(self, z: Tensor, time: Tensor, alpha: Tensor, context: Tensor, parts: Parts) -> Tensor:
        """Velocity [B, dim_int] at z [B, dim_int] and time [B, 1], with what `effect` and `context` gave."""
        h = self.trunk(torch.cat([z, self.time(parts.time_features(time)), context], 1))
        basis = self.basis(h).reshape(len(z), NUM_BASIS, -1)
        return (self.base(h) + torch.einsum("bj,bjd->bd", alpha, basis)).float()  # type: ignore[no-any-return]

    def effect(self, code: Tensor, cell_type: Tensor, parts: Parts) -> Tensor:
        """Weights [B, 16] of the basis fields, for codes [B, codes]: exactly 0 for a code of zeros."""
        of_type = self.context.of_type(cell_type)
        return self.alpha(parts.coefficients(self, code * self.is_known, of_type))  # type: ignore[no-any-return]

    def _draw(self, init: str) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                (nn.init.xavier_uniform_ if init == "xavier" else nn.init.kaiming_uniform_)(module.weight)


def difference_form(field: Field, code: Tensor, of_type: Tensor) -> Tensor:
    """Effects of the single perturbations added up, and gamma times what their combination has beyond that; [B, 64].

    With d_i = g(e_i, c) - g(0, c): sum_i p_i d_i + gamma (g(p, c) - g(0, c) - sum_i p_i d_i). So it is exactly 0
    without a perturbation, and combinations begin as the sum of their parts (gamma is learned, from 0).
    """
    adapter, zero = field.adapter, torch.zeros(len(code), field.features.shape[1], dtype=code.dtype)
    without = adapter(zero, of_type)
    rows, columns = code.nonzero(as_tuple=True)
    single = adapter(field.features[columns], of_type[rows]) - without[rows]
    added = torch.zeros_like(without).index_add(0, rows, (single * code[rows, columns, None]).to(without.dtype))
    together = torch.where((code != 0).any(1, keepdim=True), adapter(code @ field.features, of_type) - without, 0.0)
    return added + adapter.gamma * (together - added)


def whole_difference(field: Field, code: Tensor, of_type: Tensor) -> Tensor:
    """g(p, c) - g(0, c), whatever p combines; [B, 64], exactly 0 without a perturbation."""
    without = field.adapter(torch.zeros_like(code @ field.features), of_type)
    changed = field.adapter(code @ field.features, of_type) - without
    return torch.where((code != 0).any(1, keepdim=True), changed, 0.0)


class VirtualCell(nn.Module):
    """All that is trained."""

    def __init__(self, sizes: Sizes, parts: Parts) -> None:
        super().__init__()
        self.sizes, self.parts = sizes, parts
        self.encoder = Encoder(sizes)
        self.decoder = Decoder(sizes)
        self.field = Field(sizes)

    def encode(self, counts: Tensor, batch: Tensor, cell_type: Tensor) -> Posterior:
        """See `Encoder.forward`."""
        return self.encoder(counts, batch, cell_type, self.parts)  # type: ignore[no-any-return]

    def log_mean(self, z: Tensor, z_tech: Tensor, log_library: Tensor, offset: Tensor | None = None) -> Tensor:
        """Log of the expected counts [B, genes], for log library sizes [B, 1]; logits move by `offset` [genes]."""
        logits = self.decoder(z, z_tech)
        return self.parts.log_mean(logits if offset is None else logits + offset, log_library)

    def velocity(self, z: Tensor, time: Tensor, code: Tensor, context: tuple[Tensor, Tensor, Tensor | None]) -> Tensor:
        """Velocity in training; `context` is batch, cell type and position."""
        alpha = self.field.effect(code, context[1], self.parts)
        return self.field(z, time, alpha, self.field.context(*context), self.parts)  # type: ignore[no-any-return]


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


def drawn(mean: Tensor, log_var: Tensor) -> Tensor:
    """A sample of a Gaussian, differentiable in both."""
    return mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)


def num_parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())
