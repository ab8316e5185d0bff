"""Numbers of about 32 digits: a float64 number, and what its rounding left over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_SPLITTER = 2.0**27 + 1.0  # cuts the 53 bits of a float64 number into two halves whose products are exact


@dataclass(frozen=True, slots=True, eq=False)
class Wide:
    """The sum `high + low` of two float64 tensors of one shape, where `low` is at most half an ulp of `high`.

    Sums in float64 lose a bit with each doubling of the number of terms, and a variance from raw sums loses twice as
    many as the mean has over the spread. Wide sums keep 105 bits, so raw sums, which merge by addition, serve for both.

    Domain: |x| below 1e150 where squares are taken, products above 1e-290. An infinity or NaN stays one in `high`, with
    0 in `low`.
    Error: 2^-104 of the result for each operation, addition and subtraction included.
    Cost: 16 bytes a number, 20 to 40 small operations for one of these; no sync.
    Source: Dekker (1971); Knuth, TAOCP 2, 4.2.2; Hida, Li and Bailey (2001).
    """

    high: Tensor
    low: Tensor

    @classmethod
    def of(cls, values: Tensor) -> Wide:
        """Take numbers as they are. Integers are exact below 2^53."""
        high = values.detach().to(torch.float64)
        return cls(high, torch.zeros_like(high))

    @classmethod
    def zeros(cls, *shape: int, device: torch.device | str = "cpu") -> Wide:
        """Zeros, the beginning of each sum."""
        return cls.of(torch.zeros(shape, dtype=torch.float64, device=device))

    @classmethod
    def product(cls, left: Tensor, right: Tensor) -> Wide:
        """The exact products of float64 numbers."""
        high = left * right
        left_high, left_low = _halves(left)
        right_high, right_low = _halves(right)
        rest = left_high * right_high - high + left_high * right_low + left_low * right_high + left_low * right_low
        return cls(high, _where_finite(high, rest))

    @classmethod
    def joined(cls, parts: Sequence[Wide]) -> Wide:
        """All parts one after the other, flat."""
        return cls(torch.cat([p.high.flatten() for p in parts]), torch.cat([p.low.flatten() for p in parts]))

    @property
    def shape(self) -> torch.Size:
        """That of both tensors."""
        return self.high.shape

    def __add__(self, other: Wide) -> Wide:
        """Add, to 2^-104 also where the high parts cancel."""
        high, rest = _sum_and_rest(self.high, other.high)
        low, rest_of_low = _sum_and_rest(self.low, other.low)
        high, rest = _renewed(high, rest + low)
        return Wide(*_renewed(high, rest + rest_of_low))

    def __neg__(self) -> Wide:
        return Wide(-self.high, -self.low)

    def __sub__(self, other: Wide) -> Wide:
        return self + (-other)

    def __mul__(self, other: Wide) -> Wide:
        exact = Wide.product(self.high, other.high)
        cross = self.high * other.low + self.low * other.high
        return Wide(*_renewed(exact.high, exact.low + _where_finite(exact.high, cross)))

    def over(self, divisor: Tensor) -> Wide:
        """Divide by float64 numbers; NaN where 0 is divided by 0."""
        first = self.high / divisor
        rest = self - Wide.product(first, divisor)
        return Wide(*_renewed(first, _where_finite(first, rest.high / divisor)))

    def total(self) -> Wide:
        """The sum over all elements, in pairs: shape []."""
        left = Wide(self.high.flatten(), self.low.flatten())
        while left.high.numel() > 1:
            half = left.high.numel() // 2
            odd = left[2 * half :]
            left = Wide.joined([left[:half] + left[half : 2 * half], odd])
        return Wide(left.high.sum(), left.low.sum())

    def __getitem__(self, chosen: slice) -> Wide:
        return Wide(self.high[chosen], self.low[chosen])

    def reshape(self, shape: Sequence[int]) -> Wide:
        """The same numbers in another shape."""
        return Wide(self.high.reshape(shape), self.low.reshape(shape))

    def to(self, device: torch.device | str) -> Wide:
        """The same numbers on another device."""
        return Wide(self.high.to(device), self.low.to(device))


def _sum_and_rest(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """The sum, and exactly what its rounding left over (Knuth)."""
    total = left + right
    share = total - left
    return total, _where_finite(total, (left - (total - share)) + (right - share))


def _renewed(high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """The same sum with `low` again below half an ulp of `high`; `high` is the larger one (Dekker)."""
    total = high + low
    return total, _where_finite(total, low - (total - high))


def _where_finite(high: Tensor, rest: Tensor) -> Tensor:
    """An infinity or NaN says all there is to say: its rest would be inf - inf."""
    return torch.where(torch.isfinite(high), rest, 0.0)


def _halves(values: Tensor) -> tuple[Tensor, Tensor]:
    spread = values * _SPLITTER
    high = spread - (spread - values)
    return high, values - high
