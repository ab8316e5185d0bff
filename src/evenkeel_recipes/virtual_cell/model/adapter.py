"""What a perturbation does to a velocity: codes and cell type to the numbers that weigh the basis fields."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evenkeel_recipes.virtual_cell.model.sizes import DIM_EMBEDDED, Sizes

DIM_ADAPTER = 64


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


def difference_form(adapter: Adapter, features: Tensor, code: Tensor, of_type: Tensor) -> Tensor:
    """Effects of the single perturbations added up, and gamma times what their combination has beyond that; [B, 64].

    With d_i = g(e_i, c) - g(0, c): sum_i p_i d_i + gamma (g(p, c) - g(0, c) - sum_i p_i d_i). So it is exactly 0
    without a perturbation, and combinations begin as the sum of their parts (gamma is learned, from 0).
    """
    zero = torch.zeros(len(code), features.shape[1], dtype=code.dtype, device=code.device)
    without = adapter(zero, of_type)
    rows, columns = code.nonzero(as_tuple=True)
    single = adapter(features[columns], of_type[rows]) - without[rows]
    added = torch.zeros_like(without).index_add(0, rows, (single * code[rows, columns, None]).to(without.dtype))
    together = torch.where((code != 0).any(1, keepdim=True), adapter(code @ features, of_type) - without, 0.0)
    return added + adapter.gamma * (together - added)


def whole_difference(adapter: Adapter, features: Tensor, code: Tensor, of_type: Tensor) -> Tensor:
    """g(p, c) - g(0, c), whatever p combines; [B, 64], exactly 0 without a perturbation."""
    without = adapter(torch.zeros_like(code @ features), of_type)
    changed = adapter(code @ features, of_type) - without
    return torch.where((code != 0).any(1, keepdim=True), changed, 0.0)
