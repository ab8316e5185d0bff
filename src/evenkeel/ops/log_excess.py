"""log(1 + z) from both 1 + z and z, and z - log(1 + z), where the naive forms cancel."""

from __future__ import annotations

import torch
from torch import Tensor

from evenkeel.ops.stirling import polynomial

# |z / (2 + z)| below which the series is used: there the difference would lose more than a digit.
_NEAR = 0.2
# 1/3, 1/5, 1/7 ...: atanh(v) = v + v³·(1/3 + v²/5 + ...), to the last bit of float64 and of float32 for |v| < 0.2.
_ATANH_64 = tuple(1 / (2 * k + 3) for k in range(11))
_ATANH_32 = _ATANH_64[:5]


def log_quotient(quotient: Tensor, excess: Tensor) -> Tensor:
    """log(quotient), where excess = quotient - 1 is known by itself, to relative accuracy at both ends.

    log of the quotient is exact where that is small, log1p of the excess where that is small; the one formula for both
    adds what rounding took from the quotient, which matters near 1 only, without choosing between branches.

    Shape: any, elementwise. Dtype: float32 or float64. Domain: quotient > 0. Edges: -inf at 0, inf at inf.
    Error: 3 ulp, given arguments that are exact to 1 ulp each.
    """
    lost = (1 - quotient).add_(excess).div_(quotient.clamp(min=1))
    return torch.log(quotient).add_(lost)


def scaled_log_excess(scale: Tensor | float, z: Tensor, log1p_z: Tensor) -> Tensor:
    """scale·(z - log(1 + z)), to relative accuracy near z = 0 too, and where z² underflows but scale·z² does not.

    With z = expm1(v) and log1p_z = v it is exp(v) - 1 - v.

    Shape: broadcast. Dtype: float32 or float64. Domain: z >= -1 with a finite log1p_z; z finite.
    Error: 6 ulp, given z and log1p_z.
    """
    v = z / (z + 2)
    w = v * v
    series = polynomial(_ATANH_32 if z.dtype == torch.float32 else _ATANH_64, w).mul_(w)
    close = torch.sub(z, series, alpha=2).mul_(v * scale)
    # 1 near 0, else 0: vectorised passes, where torch.where takes the time of ten
    near = (_NEAR - v.detach().abs()).relu_().sign_()
    return torch.lerp((z - log1p_z).mul_(scale), close, near)
