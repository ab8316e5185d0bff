"""Recognise arithmetic on mask constants, and the formats that it overflows."""

from __future__ import annotations

from evenkeel.core.operation import Operation
from evenkeel.diagnose import evidence
from evenkeel.diagnose.limits import limits_of

NARROW = frozenset({"float16", "float8_e5m2", "float8_e4m3fn"})
_MASK_IN_HALF = -1e4  # what people write where they mean "never", scores lie far above


def overflowed_mask(operation: Operation) -> float | None:
    """The mask constant that made -inf by being added or multiplied; None where there is none.

    A constant counts as a mask when it lies beyond half of the dtype's range, or at -1e4 or below in 16 bits.
    """
    dtype = evidence.dtype_of(operation)
    limits = limits_of(dtype)
    below = any(stats.num_neginf for stats in operation.outputs)
    above = any(stats.num_posinf or stats.num_nan for stats in operation.outputs)
    if limits is None or not below or above or evidence.base(operation) not in {"add", "sub", "rsub", "mul", "baddbmm"}:
        return None
    threshold = -limits.largest / 2
    if evidence.is_half(operation):
        threshold = max(threshold, _MASK_IN_HALF)
    lowest = [*operation.scalars, *(stats.min for stats in operation.inputs if stats.min is not None)]
    constants = [value for value in lowest if value <= threshold]
    return min(constants, default=None) if evidence.is_finite(operation) else None
