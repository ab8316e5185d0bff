from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.derive import at, same, second
from torch import Tensor

from evenkeel import ops

INF, NAN = math.inf, math.nan
component = st.floats(-1, 1)
IDENTITY = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
HALF_TURN = [[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]]


def matrix_of(q: Tensor) -> Tensor:
    """The rotation of a unit quaternion, by the textbook."""
    w, x, y, z = q.unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def turn(phi: float) -> list[list[float]]:
    """By an angle around z."""
    return [[math.cos(phi), -math.sin(phi), 0.0], [math.sin(phi), math.cos(phi), 0.0], [0.0, 0.0, 1.0]]


def test_the_factor_of_the_logarithm() -> None:
    """½ at 0, a pole at π, nan at inf; slope 0 at 0, φ/6 next to it."""
    value, slope = at(ops.rotation_log_factor, [0.0, 1e-20, -1e-3], dtype=torch.float64)
    assert value == pytest.approx([0.5, 0.5, 0.5 + 1e-6 / 12], rel=1e-15)
    assert slope == pytest.approx([0.0, 1e-20 / 6, -1e-3 / 6], rel=1e-6)
    assert same(at(ops.rotation_log_factor, [INF, NAN])[0], [NAN, NAN])
    assert second(ops.rotation_log_factor, [0.0]) == [[pytest.approx(1 / 6)]]


@given(st.floats(-3.1, 3.1))
def test_the_factor_is_even_and_its_slope_odd(phi: float) -> None:
    """And the series meets the formula at 1."""
    value, slope = at(ops.rotation_log_factor, [phi, -phi], dtype=torch.float64)
    assert value[0] == value[1]
    assert slope[0] == -slope[1]


def test_the_series_meets_the_formula() -> None:
    """Both sides of 1 agree."""
    _, slope = at(ops.rotation_log_factor, [1 - 1e-15, 1.0], dtype=torch.float64)
    assert slope[0] == pytest.approx(slope[1], rel=1e-14)


@pytest.mark.parametrize("phi", [0.0, 1e-9, 1e-4, 1.0, 3.0, math.pi - 1e-4, math.pi])
def test_the_angle_of_a_turn(phi: float) -> None:
    """At every angle; by the trace, 1e-9 is 0 in float64, and its slope infinite."""
    value, slope = at(ops.rotation_angle, turn(phi), dtype=torch.float64)
    assert value == pytest.approx(phi, abs=4 * 2.0**-52)
    assert torch.tensor(slope).isfinite().all()


def test_the_identity() -> None:
    """Angle 0 with slope 0 apart from the trace; quaternion (1, 0, 0, 0)."""
    value, slope = at(ops.rotation_angle, IDENTITY)
    assert value == 0
    assert not torch.tensor(slope).any()
    assert at(ops.quaternion_of_rotation, IDENTITY)[0] == [1.0, 0.0, 0.0, 0.0]


def test_a_half_turn_and_one_ulp_more() -> None:
    """Trace + 1 is 0, or below it: the naive root has nan."""
    assert at(ops.quaternion_of_rotation, HALF_TURN)[0] == [0.0, 0.0, 0.0, 1.0]
    beyond = [list(row) for row in HALF_TURN]
    beyond[0][0] = -1.0 - 2.0**-22
    value, slope = at(ops.quaternion_of_rotation, beyond)
    assert value == pytest.approx([0.0, 0.0, 0.0, 1.0], abs=1e-6)
    assert torch.tensor(slope).isfinite().all()
    assert math.isnan(at(lambda r: torch.sqrt(r.diagonal().sum() + 1), beyond)[0])


@given(st.tuples(component, component, component, component))
def test_quaternions_come_back(q: tuple[float, ...]) -> None:
    """Up to the sign that both share; the largest component is positive."""
    made = torch.tensor(q, dtype=torch.float64)
    if made.norm() < 1e-3:
        return
    made = made / made.norm()
    back = ops.quaternion_of_rotation(matrix_of(made))
    assert back.max() > back.abs().max() - 1e-12
    assert min((back - made).norm(), (back + made).norm()).item() < 1e-14
    twice_half = 2 * math.atan2(made[1:].norm().item(), abs(made[0].item()))
    assert ops.rotation_angle(matrix_of(made)).item() == pytest.approx(twice_half, abs=1e-7)


def test_a_missing_number_is_not_hidden() -> None:
    """Nan in, nan out."""
    broken = [[NAN, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    assert math.isnan(at(ops.rotation_angle, broken)[0])
    assert any(map(math.isnan, at(ops.quaternion_of_rotation, broken)[0]))
