"""The scale-invariant logarithmic error of depths."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError
from evenkeel.ops.division import Counted, masked_mean, masked_std
from evenkeel.ops.norms import Dims, norm
from evenkeel.ops.precision import widened


def scale_invariant_log_error(
    log_prediction: Tensor, log_target: Tensor, mask: Tensor, variance_focus: float, dim: Dims | None = None
) -> Counted:
    """√(mean(d²) - variance_focus·mean(d)²) of d = log_prediction - log_target, over the pixels with a mask of True.

    Taken as √(var(d) + (1 - variance_focus)·mean(d)²) from two passes, so that nothing cancels: at variance_focus = 1
    the usual form is the root of a rounding error, of either sign, with an infinite slope.

    Shape: (*, n, *) to (*, *); all pixels for dim=None. Dtype: that of log_prediction, any float; float16 and bfloat16
    compute in float32. `mask` is boolean and broadcasts.
    Edges: 0 with slope 0 where d is 0 everywhere (at variance_focus = 1: constant), and of 0 pixels, which the
    population tells. Values under a mask of False are not looked at: log 0 of a missing depth may stand there.
    Gradient: (d - variance_focus·mean(d)) / (n·value); 0 where the value is 0.
    Error: 6 ulp, given d; the rounding of the sums comes on top for large images.
    Cost: six tensors of the size of the image pass by. No host sync.
    Source: D. Eigen, C. Puhrsch and R. Fergus, "Depth Map Prediction from a Single Image using a Multi-Scale Deep
    Network" (2014), equation 4, under a root.

    Raises:
        UsageError: variance_focus lies outside [0, 1].
    """
    if not 0 <= variance_focus <= 1:
        raise UsageError(f"variance_focus is {variance_focus}; it has to lie between 0 and 1")
    wide = widened(log_prediction)
    d = wide - log_target.to(wide.dtype)
    spread = masked_std(d, mask.expand_as(d), dim, correction=0)
    centre = masked_mean(d, mask.expand_as(d), dim).value
    value = norm(torch.stack([spread.value, math.sqrt(1 - variance_focus) * centre], -1))
    return Counted(value.to(log_prediction.dtype), spread.population)
