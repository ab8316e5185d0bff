"""Numbers and ranges in words, the same in every text."""

from __future__ import annotations

import math

from evenkeel.core.stats import TensorStats

_PLAIN_BELOW = 1e5
_PLAIN_FROM = 1e-3
_WITH_FRACTION_BELOW = 1e4  # where four significant digits turn scientific


def number(value: float) -> str:
    """`65,504`, `0.25`, `1.2e5`, `1e-15`, `NaN`, `inf`: as short as a person would write it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if abs(value) < _PLAIN_BELOW and value == int(value):
        return f"{int(value):,}"
    if _PLAIN_FROM <= abs(value) < _PLAIN_BELOW:
        return f"{value:,.4g}" if abs(value) < _WITH_FRACTION_BELOW else f"{value:,.0f}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def extent(stats: TensorStats) -> str:
    """The range of the finite elements."""
    if stats.min is None or stats.max is None:
        return "nothing finite"
    if stats.min == stats.max:
        return number(stats.min) if stats.numel == 1 else f"all {number(stats.min)}"
    return f"{number(stats.min)} to {number(stats.max)}"


def nonfinite(stats: TensorStats) -> str:
    """How many elements are not finite, of which kind: `2 -inf, 1 NaN`; "none" when all are finite."""
    kinds = ((stats.num_nan, "NaN"), (stats.num_posinf, "inf"), (stats.num_neginf, "-inf"))
    return ", ".join(f"{count:,} {kind}" for count, kind in kinds if count) or "none"
