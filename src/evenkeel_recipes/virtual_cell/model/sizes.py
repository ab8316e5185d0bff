"""How large a model is."""

from __future__ import annotations

from dataclasses import dataclass

DIM_EMBEDDED = 8  # of batch and cell type


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
