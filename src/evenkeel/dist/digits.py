"""Sums over ranks that do not depend on who adds first: numbers written as digits, and digits added one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.tensors.wide import Wide

_DIGIT_BITS = 40
_KEPT_BITS = 106  # what a wide number holds below the top bit of its high part
_LOWEST = -1000  # the units of the digits stay normal numbers; less than 2^-1000 counts as 0
_NOTHING = 5000
MAX_RANKS = 2**53 >> _DIGIT_BITS  # more digits than these may not sum exactly


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers smaller than 2^top whose bits all lie at 2^bottom or above; of nothing but zeros when top < bottom."""

    top: int = -_NOTHING
    bottom: int = _NOTHING

    @classmethod
    def of(cls, numbers: Wide) -> Span:
        """Look at finite numbers that are not 0. One host sync."""
        seen = numbers.high[torch.isfinite(numbers.high) & (numbers.high != 0)]
        if seen.numel() == 0:
            return cls()
        exponents = torch.frexp(seen).exponent
        low, high = (int(e) for e in torch.stack(torch.aminmax(exponents)).tolist())
        return cls(high, max(low - _KEPT_BITS, _LOWEST))

    def joined(self, other: Span) -> Span:
        """The span of both."""
        return Span(max(self.top, other.top), min(self.bottom, other.bottom))

    @property
    def units(self) -> tuple[float, ...]:
        """What a 1 stands for in each digit, largest first; one digit at least."""
        num_digits = max(1, math.ceil((self.top - self.bottom) / _DIGIT_BITS))
        return tuple(math.ldexp(1.0, max(self.top - _DIGIT_BITS * (n + 1), _LOWEST)) for n in range(num_digits))


def digits(numbers: Wide, span: Span) -> Tensor:
    """Write numbers in digits of 40 bits, each a whole number in float64: shape [digits, numbers].

    Digits of several ranks add exactly, in any order, for up to 8,192 ranks. A number that is not finite stands in the
    first digit as it is, so that the sum is what a sum with it is.

    Error: 2^-106 of each number, and what lies below 2^-1000.
    """
    left, rows = numbers, []
    first = torch.where(torch.isfinite(numbers.high), 0.0, numbers.high)
    left = Wide(torch.where(torch.isfinite(numbers.high), numbers.high, 0.0), numbers.low)
    for unit in span.units:
        digit = torch.round(left.high / unit)
        rows.append(digit)
        left = left - Wide.of(digit * unit)
    rows[0] = rows[0] + first
    return torch.stack(rows)


def number_of(summed: Tensor, span: Span) -> Wide:
    """Read digits again, after they were added.

    Largest first: a digit of many ranks may reach into the one above and cancel it, but only before more bits have
    come together than a wide number holds.
    """
    result = Wide.zeros(*summed.shape[1:], device=summed.device)
    for row, unit in zip(summed, span.units, strict=True):
        result = result + Wide.of(row * unit)
    return result
