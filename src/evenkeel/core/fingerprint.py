"""What is left of tensors to tell whether others are the same: their bits, their bad elements, their sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Likeness = Literal["bits", "rounding", "none"]
_SINGLE = 2.0**-23  # sums of narrower numbers are made in float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Several tensors in a few numbers.

    Many operations add in an order that changes from run to run: a gradient scattered into rows with atomic additions
    (`x[index]` backward, on any GPU and on a CPU with several threads), split reductions, cuDNN's and cuBLAS's choices.
    Their results differ in the last digits, and what was computed from these differs a little more. So two steps are
    also alike when the same elements are bad and the finite ones, tensor by tensor, are of the same size in half of
    their digits. A step on other data has other sizes by percents.
    """

    bits: str  # digest of everything, every NaN taken as the same NaN
    pattern: str  # digest of shapes, dtypes, integers, and of the places of NaN, inf and -inf
    norms: tuple[float, ...]  # Euclidean, of the finite elements of each tensor
    precisions: tuple[float, ...]  # the gap between 1 and the next number of its dtype; 0 for integers

    def likeness(self, other: Fingerprint) -> Likeness:
        """How like the other tensors are: in all bits, but for rounding, or not at all."""
        if self.bits == other.bits:
            return "bits"
        return "rounding" if self.pattern == other.pattern and self._as_large_as(other) else "none"

    def _as_large_as(self, other: Fingerprint) -> bool:
        largest = max(*self.norms, *other.norms, 0.0, 0.0)
        pairs = zip(self.norms, other.norms, self.precisions, strict=True)
        return all(_close(ours, theirs, precision, largest) for ours, theirs, precision in pairs)


def _close(ours: float, theirs: float, precision: float, largest: float) -> bool:
    """Whether half of the digits agree; what is all rounding beside the largest tensor needs no digits."""
    allowed = math.sqrt(precision) * max(ours, theirs) + min(precision, _SINGLE) * largest
    return ours == theirs or abs(ours - theirs) <= allowed


def least(likenesses: tuple[Likeness, ...]) -> Likeness:
    """The likeness of several together: that of the least alike."""
    order: tuple[Likeness, ...] = ("none", "rounding")
    return next((likeness for likeness in order if likeness in likenesses), "bits")
