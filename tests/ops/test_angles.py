from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.derive import at, same, second

from evenkeel import ops

INF, NAN = math.inf, math.nan
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
ZERO = [0.0, 0.0]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_equal_and_opposite_directions(dtype: torch.dtype) -> None:
    """0 and π with slope 0; the arc cosine of a cosine has nan or inf there."""
    assert at(ops.angle, [1.0, 0.0], [2.0, 0.0], dtype=dtype) == (0.0, ZERO, ZERO)
    value, *slopes = at(ops.angle, [1.0, 0.0], [-2.0, 0.0], dtype=dtype)
    assert value == pytest.approx(math.pi, rel=torch.finfo(dtype).eps)
    assert slopes == [ZERO, ZERO]
    assert at(ops.sphere_distance, [1.0, 0.0], [1.0, 0.0], dtype=dtype) == (0.0, ZERO, ZERO)
    assert at(ops.poincare_distance, [0.5, 0.0], [0.5, 0.0], dtype=dtype) == (0.0, ZERO, ZERO)


def test_angles_with_a_zero_vector() -> None:
    """A right angle to what has a direction, none to another zero; slopes 0."""
    assert at(ops.angle, ZERO, [3.0, 4.0])[0] == pytest.approx(math.pi / 2)
    assert at(ops.angle, ZERO, [3.0, 4.0])[1] == ZERO
    assert at(ops.angle, ZERO, ZERO) == (0.0, ZERO, ZERO)
    assert same(at(ops.angle, [NAN, 0.0], [1.0, 0.0])[0], NAN)


def test_small_angles_keep_their_digits() -> None:
    """1e-5 in float32, where the cosine has rounded to 1."""
    x, y = [1.0, 0.0], [math.cos(1e-5), math.sin(1e-5)]
    assert at(ops.angle, x, y)[0] == pytest.approx(1e-5, rel=1e-4)
    assert at(ops.sphere_distance, x, y)[0] == pytest.approx(1e-5, rel=1e-4)
    assert at(lambda a, b: torch.acos((a * b).sum(-1)), x, y)[0] == 0


@given(st.floats(-3.1, 3.1), st.floats(1e-30, 1e30))
def test_an_angle_is_the_angle(phi: float, length: float) -> None:
    """Whatever the lengths; and its slope is 1/length."""
    x, y = [length, 0.0], [math.cos(phi), math.sin(phi)]
    value, by_x, _ = at(ops.angle, x, y, dtype=torch.float64)
    assert value == pytest.approx(abs(phi), abs=4 * 2.0**-52)
    if abs(phi) > 1e-3:
        assert math.hypot(*by_x) * length == pytest.approx(1.0, rel=1e-9)


def test_hyperbolic_distances() -> None:
    """The textbook formula, where it has digits; infinite at the edge, nothing outside."""
    x, y = torch.tensor([[0.3, 0.1]], dtype=torch.float64), torch.tensor([[-0.2, 0.4]], dtype=torch.float64)
    room = (1 - x.square().sum(-1)) * (1 - y.square().sum(-1))
    wanted = torch.acosh(1 + 2 * (x - y).square().sum(-1) / room)
    torch.testing.assert_close(ops.poincare_distance(x, y), wanted)
    assert at(ops.poincare_distance, [1.0, 0.0], ZERO)[0] == INF
    assert same(at(ops.poincare_distance, [[2.0, 0.0], [2.0, 0.0], [NAN, 0.0]], [ZERO, [0.0, 3.0], ZERO])[0], [NAN] * 3)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_inverse_functions_at_the_edge(dtype: torch.dtype) -> None:
    """Slope 0 where the conventions say so, nan outside."""
    assert same(at(ops.acosh1p, [0.0, INF, -1.0, NAN], dtype=dtype)[0], [0.0, INF, NAN, NAN])
    assert at(ops.acosh1p, [0.0, INF], dtype=dtype)[1] == [0.0, 0.0]
    assert same(at(ops.acosh, [1.0, INF, 0.5, NAN], dtype=dtype)[0], [0.0, INF, NAN, NAN])
    assert at(ops.acosh, [1.0], dtype=dtype)[1] == [0.0]
    value, slope = at(ops.acos, [1.0, -1.0, 0.0], dtype=dtype)
    assert value == pytest.approx([0.0, math.pi, math.pi / 2], rel=torch.finfo(dtype).eps)
    assert slope == [0.0, 0.0, -1.0]
    assert same(at(ops.acos, [1.5, NAN], dtype=dtype)[0], [NAN, NAN])
    assert same(at(ops.atanh, [1.0, -1.0, 2.0, NAN], dtype=dtype)[0], [INF, -INF, NAN, NAN])


def test_atanh_is_silent_where_it_is_not_used() -> None:
    """A saturated element in a branch that was not taken."""
    value, slope = at(lambda x: torch.where(x.abs() < 1, ops.atanh(x), x), [1.0, 0.5])
    assert value == pytest.approx([1.0, math.atanh(0.5)])
    assert slope == pytest.approx([1.0, 1 / 0.75])
    assert math.isnan(at(lambda x: torch.where(x.abs() < 1, torch.atanh(x), x), [1.0])[1][0])
    assert at(ops.atanh, [1.0])[1] == [INF]


def test_acosh1p_next_to_zero() -> None:
    """acosh(1 + u) has lost u; √(2u) has not."""
    value, slope = at(ops.acosh1p, [1e-30])
    assert value[0] == pytest.approx(math.sqrt(2e-30), rel=1e-6)
    assert slope[0] == pytest.approx(1 / math.sqrt(2e-30), rel=1e-6)


def test_second_derivatives_at_edges() -> None:
    """The conventions hold there, too."""
    assert second(ops.acosh1p, [0.0]) == [[0.0]]
    assert second(ops.acos, [1.0, -1.0]) == [[0.0, 0.0]]
    assert second(ops.sphere_distance, [1.0, 0.0], [1.0, 0.0]) == [ZERO, ZERO]
