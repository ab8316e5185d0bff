"""Scaling of features: refuse what cannot be scaled by name, or map it to 0 because the call says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError

_NUM_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """(x - offset) / scale for each column, as fitted; use the one of the training data for all others."""

    offset: Tensor
    scale: Tensor

    def apply(self, x: Tensor) -> Tensor:
        """The scaled columns of (*, columns). No host sync."""
        return (x - self.offset) / self.scale

    def undo(self, y: Tensor) -> Tensor:
        """The columns that `apply` made y of, to 2 ulp of the larger one of offset and result. No host sync."""
        return y * self.scale + self.offset


def fit_min_max(x: Tensor, names: Sequence[str] = ()) -> Scaling:
    """Map the smallest value of each column to 0 and the largest to 1.

    Shape: (rows, columns); offset and scale (columns,). Dtype: float32 or float64, kept.
    Cost: two passes; waits for the device (it has to look at values).

    Args:
        x: the training data.
        names: of the columns, for messages; their numbers otherwise.

    Raises:
        UsageError: there are no rows, a column holds nan or inf, or is constant (0/0, ml5-next-gen#204), or its range
            overflows. `fit_min_max_constants_to_zero` takes constant columns.
    """
    scaling = fit_min_max_constants_to_zero(x, names)
    _refuse(x.amin(0) == x.amax(0), names, "constant", "leave them out, or call fit_min_max_constants_to_zero")
    return scaling


def fit_min_max_constants_to_zero(x: Tensor, names: Sequence[str] = ()) -> Scaling:
    """As `fit_min_max`, but a constant column is mapped to 0: its offset is the constant and its scale 1."""
    _refuse_unusable(x, names)
    low, high = x.amin(0), x.amax(0)
    _refuse(~(high - low).isfinite(), names, "wider than the dtype's range", "convert to float64, or divide them first")
    return Scaling(offset=low, scale=torch.where(high > low, high - low, 1.0))


def fit_standard(x: Tensor, names: Sequence[str] = ()) -> Scaling:
    """Map each column to mean 0 and standard deviation 1 (the population's: divided by rows).

    Two passes in float64, whatever the dtype. Shape, Dtype, Cost, Args, Raises: as `fit_min_max`.
    """
    scaling = fit_standard_constants_to_zero(x, names)
    _refuse(x.amin(0) == x.amax(0), names, "constant", "leave them out, or call fit_standard_constants_to_zero")
    return scaling


def fit_standard_constants_to_zero(x: Tensor, names: Sequence[str] = ()) -> Scaling:
    """As `fit_standard`, but a constant column is mapped to 0: its offset is the constant and its scale 1."""
    _refuse_unusable(x, names)
    constant = x.amin(0) == x.amax(0)
    mean = x.double().mean(0).to(x.dtype)
    spread = (x.double() - x.double().mean(0)).square().mean(0).sqrt().to(x.dtype)
    _refuse(~(mean.isfinite() & spread.isfinite()), names, "too large for their dtype", "divide them first")
    _refuse(
        ~constant & (spread == 0), names, "too narrow for their dtype", "convert to float64, or multiply them first"
    )
    return Scaling(offset=torch.where(constant, x[0], mean), scale=torch.where(constant, 1.0, spread))


def _refuse_unusable(x: Tensor, names: Sequence[str]) -> None:
    if x.dim() != 2 or not x.is_floating_point() or x.element_size() < 4:  # noqa: PLR2004  # rows and columns; 32 bits
        raise UsageError(f"scaling takes (rows, columns) of float32 or float64; this is {tuple(x.shape)} of {x.dtype}")
    if names and len(names) != x.shape[1]:
        raise UsageError(f"{len(names)} names for {x.shape[1]} columns")
    if x.shape[0] == 0:
        raise UsageError("there are no rows to fit a scaling to")
    _refuse(~x.isfinite().all(0), names, "not finite throughout", "mend or drop the rows that hold nan or inf")


def _refuse(bad: Tensor, names: Sequence[str], what: str, remedy: str) -> None:
    columns = bad.nonzero().flatten().tolist()
    if columns:
        named = ", ".join(str(names[c]) if names else str(c) for c in columns[:_NUM_NAMED])
        more = f" and {len(columns) - _NUM_NAMED} more" if len(columns) > _NUM_NAMED else ""
        raise UsageError(f"{len(columns)} of {len(bad)} columns are {what}: {named}{more}; {remedy}")
