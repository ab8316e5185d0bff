"""The limits of each float format, by the dtype's name."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatLimits:
    """What a float format can hold. `smallest` is the least positive number, a subnormal one."""

    largest: float
    smallest: float
    smallest_normal: float
    eps: float  # distance from 1 to the next larger number

    @property
    def exp_overflows_above(self) -> float:
        """The largest x with a finite exp(x): 88.7 in float32, 11.09 in float16."""
        return math.log(self.largest)

    @property
    def exp_underflows_below(self) -> float:
        """Below this x, exp(x) rounds to 0: about -104 in float32, -17.3 in float16."""
        return math.log(self.smallest) - math.log(2.0)

    def loses(self, value: float) -> bool:
        """Whether a number other than 0 becomes 0 in this format (round to nearest)."""
        return 0.0 < abs(value) <= self.smallest / 2

    def rounds_to_one(self, value: float) -> bool:
        """Whether a number other than 1 becomes 1. Below 1 the numbers lie twice as close as above."""
        return value != 1.0 and -self.eps / 4 <= value - 1.0 <= self.eps / 2


def _ieee(exponent_bits: int, mantissa_bits: int) -> FloatLimits:
    """The limits that follow from the two widths of an IEEE-like format."""
    bias = 2 ** (exponent_bits - 1) - 1
    return FloatLimits(
        largest=(2.0 - 2.0**-mantissa_bits) * 2.0**bias,
        smallest=2.0 ** (1 - bias - mantissa_bits),
        smallest_normal=2.0 ** (1 - bias),
        eps=2.0**-mantissa_bits,
    )


_LIMITS = {
    "float64": _ieee(11, 52),
    "float32": _ieee(8, 23),
    "bfloat16": _ieee(8, 7),
    "float16": _ieee(5, 10),
    "float8_e5m2": _ieee(5, 2),
    # No infinities: one more power of two is used for numbers, and the topmost pattern is NaN.
    "float8_e4m3fn": FloatLimits(largest=448.0, smallest=2.0**-9, smallest_normal=2.0**-6, eps=2.0**-3),
}
_COMPLEX = {"complex32": "float16", "complex64": "float32", "complex128": "float64"}

HALF = frozenset({"float16", "bfloat16", "float8_e5m2", "float8_e4m3fn"})


def limits_of(dtype: str) -> FloatLimits | None:
    """The limits of a dtype, a complex one taken by its parts; None for integers and unknown formats."""
    return _LIMITS.get(_COMPLEX.get(dtype, dtype))
