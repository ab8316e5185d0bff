"""The field that carries latents of control cells to those of perturbed ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evenkeel_recipes.virtual_cell.model.adapter import DIM_ADAPTER, Adapter
from evenkeel_recipes.virtual_cell.model.parts import Parts
from evenkeel_recipes.virtual_cell.model.sizes import DIM_EMBEDDED, Sizes

DIM_SPATIAL = 16
DIM_TIME = 16
DIM_TRUNK = 128
NUM_BASIS = 16


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
        return self.alpha(parts.coefficients(self.adapter, self.features, code * self.is_known, of_type))  # type: ignore[no-any-return]

    def _draw(self, init: str) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                (nn.init.xavier_uniform_ if init == "xavier" else nn.init.kaiming_uniform_)(module.weight)
