"""How a number that is not finite is written where JSON has no word for it."""

from __future__ import annotations

import math


def number_to_json(number: float) -> float | str:
    """The number itself when it is finite, else "nan", "inf" or "-inf"."""
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "nan"
    return "inf" if number > 0 else "-inf"


def number_from_json(value: object) -> float:
    """The number that `number_to_json` wrote.

    Raises:
        ValueError: `value` is neither a number nor one of the three words.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):
        return float(value)
    raise ValueError(f'expected a number, "nan", "inf" or "-inf"; got {value!r}')
