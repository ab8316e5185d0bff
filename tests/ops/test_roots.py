from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.derive import at, same, second

from evenkeel import ops

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_roots_at_their_edges(dtype: torch.dtype) -> None:
    """Slope 0 at 0, where torch has inf; nan stays nan."""
    value, slope = at(ops.sqrt, [0.0, -0.0, INF, 4.0], dtype=dtype)
    assert value == [0.0, 0.0, INF, 2.0]
    assert slope == [0.0, 0.0, 0.0, 0.25]
    assert same(at(ops.sqrt, [-1.0, NAN], dtype=dtype)[0], [NAN, NAN])
    value, slope = at(ops.rsqrt, [0.0, INF, 4.0], dtype=dtype)
    assert value == [0.0, 0.0, 0.5]
    assert slope == [0.0, 0.0, -0.0625]
    assert same(at(ops.rsqrt, [-1.0, NAN], dtype=dtype)[0], [NAN, NAN])


def test_next_to_zero_the_slope_is_true() -> None:
    """The convention is about the one point, not about small numbers."""
    _, slope = at(ops.sqrt, [1e-40], dtype=torch.float32)
    assert slope[0] == pytest.approx(0.5e20, rel=1e-4)


def test_second_derivatives_at_zero() -> None:
    """0, and not nan from the branch that was not taken."""
    assert second(ops.sqrt, [0.0]) == [[0.0]]
    assert second(ops.rsqrt, [0.0]) == [[0.0]]


@given(st.floats(1e-300, 1e300))
def test_a_root_and_its_reciprocal(x: float) -> None:
    """Their product is 1."""
    t = torch.tensor(x, dtype=torch.float64)
    assert (ops.sqrt(t) * ops.rsqrt(t)).item() == pytest.approx(1.0, abs=1e-15)
