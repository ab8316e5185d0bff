"""The limits of the float formats are those of the hardware's formats."""

import math

import numpy as np
import pytest

from evenkeel.diagnose.limits import limits_of


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_limits_agree_with_numpy(dtype: str) -> None:
    """The independent twin: numpy's own table."""
    limits, known = limits_of(dtype), np.finfo(dtype)
    assert limits is not None
    assert limits.largest == float(known.max)
    assert limits.smallest == float(known.smallest_subnormal)
    assert limits.smallest_normal == float(known.smallest_normal)
    assert limits.eps == float(known.eps)


def test_known_numbers() -> None:
    """The numbers that people know by heart."""
    assert limits_of("float16").largest == 65504.0
    assert math.isclose(limits_of("bfloat16").largest, 3.3895e38, rel_tol=1e-4)
    assert round(limits_of("float32").exp_overflows_above, 2) == 88.72
    assert round(limits_of("float16").exp_overflows_above, 2) == 11.09
    assert round(limits_of("float32").exp_underflows_below) == -104
    assert limits_of("int64") is None
    assert limits_of("complex64") == limits_of("float32")


@pytest.mark.parametrize("value", [2e-8, 2.9e-8, 3.1e-8, 6e-8, 1e-15, 1e-4])
def test_lost_constants_agree_with_float16(value: float) -> None:
    """The twin: a real conversion."""
    assert limits_of("float16").loses(value) == (float(np.float16(value)) == 0.0)


@pytest.mark.parametrize("value", [1 - 1e-6, 1 - 1e-4, 1 - 3e-4, 1 + 1e-4, 1 + 4e-4, 1 + 6e-4, 0.99])
def test_rounding_to_one_agrees_with_float16(value: float) -> None:
    """The twin: a real conversion."""
    assert limits_of("float16").rounds_to_one(value) == (float(np.float16(value)) == 1.0)


def test_exactly_zero_and_one_lose_nothing() -> None:
    """A constant that is meant to be 0 or 1 is no lost one."""
    assert not limits_of("float16").loses(0.0)
    assert not limits_of("float16").rounds_to_one(1.0)
