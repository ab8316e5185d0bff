"""What Stirling's formula leaves of log Γ and of its slope, for differences of log Γ that must not cancel.

    log Γ(z) = (z - ½)·log z - z + ½·log 2π + remainder(z)
    ψ(z)     = log z - 1/(2z) + scaled_slope(z) / z

Likelihoods take the large terms together by themselves and add the remainders, which are small and smooth.
"""

from __future__ import annotations

import torch
from torch import Tensor

HALF_LOG_2PI = 0.9189385332046727

# Rational functions of 1/z² for z >= 1, ascending powers, all positive; made and measured by bench/fit_stirling.py.
_REMAINDER_32 = (
    (0.08333333310112526, 0.129623171530803, 0.027318359698243328),
    (1.0, 1.5888100532470466, 0.37129610112789385, 0.004000956850956393),
)
_REMAINDER_64 = (
    (
        0.08333333333333333,
        1.2256205035358785,
        5.929103945452901,
        11.85026871085686,
        10.08529222131058,
        3.380999783704948,
        0.3535064260378517,
        0.005487438617312009,
    ),
    (
        1.0,
        14.740779375763568,
        71.63108284855363,
        144.45768176152558,
        125.25175281992406,
        43.757013728943,
        5.078738202040963,
        0.11572693400660441,
    ),
)
# Functions of 1/z: a polynomial where that is enough, as it takes half the passes.
_FALL_32 = (
    0.08106145279518494,
    -0.0022697697500221603,
    -0.002305094830410168,
    0.0006738168315840651,
    0.0001711322554411778,
    -0.00011595774420338085,
)
_FALL_64 = (
    (
        0.08106146679532726,
        0.4228851394031403,
        1.227714759728883,
        2.031936212378834,
        2.070419975564456,
        1.1871574664217426,
        0.3307473794725871,
        0.019993069567455484,
    ),
    (
        1.0,
        5.244871857730242,
        15.320500901769801,
        25.636744133937416,
        26.650270523761442,
        15.985771346676456,
        5.041691495086899,
        0.5788515839189259,
        0.013058696036131405,
    ),
)
_SLOPE_32 = (
    (0.08333333315045503, 0.23661800937455268, 0.12353781517933587, 0.006848785920072978),
    (1.0, 2.939414444713235, 1.72885206537851, 0.1639430433530435),
)
_SLOPE_64 = (
    (
        0.08333333333333333,
        1.7826268749399232,
        13.226825391660563,
        43.47250778397461,
        67.07912284495164,
        47.43669766696,
        13.841479189671276,
        1.2886789390176427,
        0.01683060436145567,
    ),
    (
        1.0,
        21.49152249927886,
        160.8234379023559,
        536.7790313462849,
        851.9527866540888,
        635.2152003985572,
        205.7101577129694,
        24.08177400375938,
        0.6393071594959765,
    ),
)


def remainder(z: Tensor, log1p_reciprocal: Tensor) -> Tensor:
    """What log Γ(z) is more than (z - ½)·log z - z + ½·log 2π.

    From one step above: what is left at z + 1, and (z + ½)·log(1 + 1/z) - 1.

    Shape: any, elementwise. Dtype: float32 or float64. Domain: z > 0, finite.
    Edges: as large as -½·log z near 0, taken from `log1p_reciprocal`.
    Error: 3 ulp of 1 plus 1 ulp of `log1p_reciprocal`, absolute: it is there to be added to larger terms.

    Args:
        z: the argument.
        log1p_reciprocal: log(1 + 1/z); the caller knows how to take it without overflow.
    """
    return (z + 0.5).mul_(log1p_reciprocal).add_(remainder_from_one(z + 1)).sub_(1)


def remainder_from_one(z: Tensor) -> Tensor:
    """`remainder` for z >= 1 only, 0 at inf. Error: 2 ulp, and 2e-9 in float32, 8e-17 in float64."""
    t = z.reciprocal()
    return _rational(_REMAINDER_32 if z.dtype == torch.float32 else _REMAINDER_64, t * t).mul_(t)


def fall_per_count(t: Tensor) -> Tensor:
    """How much the remainder falls from 1 to z = 1/t >= 1, divided by z - 1: (1 - ½·log 2π - remainder(z)) / (z - 1).

    Error: 4e-8 in float32, 2e-17 in float64, and 2 ulp; all divided by z - 1.
    """
    if t.dtype == torch.float32:
        return polynomial(_FALL_32, t).mul_(t)
    return _rational(_FALL_64, t).mul_(t)


def scaled_slope(z: Tensor, log1p_reciprocal: Tensor) -> Tensor:
    """The slope of `remainder` times z: z·(ψ(z) - log z) + ½. From -½ at 0 to -1/(12z) far out.

    Shape, Dtype, Domain, Args: as `remainder`.
    Error: 8 ulp above 1; 4 ulp of 1 below.
    """
    # 1 below 1 and 0 above: vectorised passes, where torch.where takes the time of ten
    below = (1 - z.detach()).relu_().sign_()
    t = (z + below).reciprocal()
    above = _rational(_SLOPE_32 if z.dtype == torch.float32 else _SLOPE_64, t * t).mul_(t).neg_()
    small = (t * above).add_(log1p_reciprocal).sub_(t).mul_(z).sub_(t, alpha=0.5)
    return torch.lerp(above, small, below)


def _rational(coefficients: tuple[tuple[float, ...], tuple[float, ...]], w: Tensor) -> Tensor:
    above, below = coefficients
    return polynomial(above, w).div_(polynomial(below, w))


def polynomial(coefficients: tuple[float, ...], w: Tensor) -> Tensor:
    """The sum of coefficients[k]·w**k by Horner's rule, in place: one tensor, however many powers."""
    total = w * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        total.add_(coefficient).mul_(w)
    return total.add_(coefficients[0])
