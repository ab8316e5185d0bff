"""Dice and intersection over union of soft masks, where an empty mask is matched by an empty one."""

from __future__ import annotations

from torch import Tensor

from evenkeel.ops.division import divide
from evenkeel.ops.norms import Dims
from evenkeel.ops.precision import widened


def dice(prediction: Tensor, target: Tensor, dim: Dims = -1) -> Tensor:
    """2·Σ p·t / (Σ p + Σ t): the overlap of two soft masks over some dimensions, 1 where both are empty.

    Shape: (*, n, *) to (*, *), broadcast; a tuple of dimensions is allowed. Dtype: any float, that of the prediction;
    float16 and bfloat16 compute in float32. Values in [0, 1] are meant, and not checked.
    Edges: two empty masks agree, so 1 with slope 0 (no eps: one of 1e-6 makes 1e-6/1e-6 of it in float32 and 0/0 in
    float16). 0 where only one is empty.
    Gradient: (2·t - dice) / (Σ p + Σ t) for the prediction; 0 where both are empty.
    Error: 4 ulp; the rounding of the sums comes on top for large masks.
    Cost: one product of the size of the masks; keeps both for backward. No host sync.
    """
    p, t = widened(prediction), target.to(widened(prediction).dtype)
    return divide(2 * (p * t).sum(dim), p.sum(dim) + t.sum(dim), 1.0).to(prediction.dtype)


def intersection_over_union(prediction: Tensor, target: Tensor, dim: Dims = -1) -> Tensor:
    """Σ p·t / (Σ p + Σ t - Σ p·t) over some dimensions, 1 where both masks are empty.

    The union is summed as Σ (p + t - p·t), whose terms are not negative for values in [0, 1].

    Shape, Dtype, Edges (an empty union means 1, not 0/0: BASNet#69): as `dice`.
    Gradient: that of the quotient; 0 where both are empty.
    Error: 4 ulp; the rounding of the sums comes on top for large masks.
    Cost: two tensors of the size of the masks; keeps both for backward. No host sync.
    """
    p, t = widened(prediction), target.to(widened(prediction).dtype)
    return divide((p * t).sum(dim), (p + t * (1 - p)).sum(dim), 1.0).to(prediction.dtype)
