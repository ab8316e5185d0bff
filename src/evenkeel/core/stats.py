"""What is known of a tensor without keeping it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorStats:
    """Counts and range of one tensor. `min` and `max` are over the finite elements, None when there are none."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # "float32", without the "torch." prefix
    device: str
    num_nan: int = 0
    num_posinf: int = 0
    num_neginf: int = 0
    num_zero: int | None = None  # None: not counted
    min: float | None = None
    max: float | None = None

    @property
    def numel(self) -> int:
        """Number of elements; 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def num_nonfinite(self) -> int:
        """Elements that are NaN or infinite."""
        return self.num_nan + self.num_posinf + self.num_neginf

    @property
    def magnitude(self) -> float:
        """The largest finite absolute value; 0 when nothing is finite."""
        return max(abs(self.min or 0.0), abs(self.max or 0.0))
