"""Latents of cells: what an encoder gives, and what the flow between them is trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Posterior(NamedTuple):
    """Means and log-variances of both latents, [B, dim_int] and [B, dim_tech]."""

    mean: Tensor
    log_var: Tensor
    tech_mean: Tensor
    tech_log_var: Tensor


Encode = Callable[[Tensor, Tensor, Tensor], Posterior]  # counts [B, genes], batches and cell types [B]


class FlowBatch(NamedTuple):
    """Gaussians of starts and ends [B, dim_int], codes [B, codes], places and groups int64 [B]."""

    mean: Tensor
    log_var: Tensor
    start_mean: Tensor
    start_log_var: Tensor
    code: Tensor
    batch: Tensor
    cell_type: Tensor
    spatial: Tensor | None
    group: Tensor  # treatment and type
    row: Tensor

    @property
    def context(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Batch, cell type and position."""
        return self.batch, self.cell_type, self.spatial


def drawn(mean: Tensor, log_var: Tensor) -> Tensor:
    """A sample of a Gaussian, differentiable in both."""
    return mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
