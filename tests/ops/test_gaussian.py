from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.derive import at

from evenkeel import ops

NORM = 0.5 * math.log(2 * math.pi)


def test_extreme_variances() -> None:
    """exp(-log_var) alone would overflow at -150, and (x - mean)² underflow."""
    value, by_x, by_mean, by_log_var = at(ops.gaussian_log_prob, [1e-30, 0.0], [0.0, 0.0], [-150.0, 300.0])
    r = 1e-30 * math.exp(75)
    assert value == pytest.approx([75 - NORM - r * r / 2, -150 - NORM], rel=1e-5)
    assert by_mean == pytest.approx([r * math.exp(75), 0.0], rel=1e-5)
    assert by_x == [-g for g in by_mean]
    assert by_log_var == pytest.approx([(r * r - 1) / 2, -0.5], rel=1e-5)
    x, v = torch.tensor(1e-30), torch.tensor(-150.0)
    assert not (x.square() / v.exp()).isfinite()


def test_what_has_no_finite_answer_does_not_get_one() -> None:
    """Overflow and nan are shown."""
    assert not ops.gaussian_log_prob(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(-200.0)).isfinite()
    for bad in (math.nan, math.inf):
        assert not ops.gaussian_log_prob(torch.tensor(bad), torch.tensor(0.0), torch.tensor(0.0)).isfinite()


def test_gradients_have_the_shapes_of_the_parameters() -> None:
    """Broadcast arguments get summed gradients."""
    x, mean, v = (
        torch.randn(4, 3, requires_grad=True),
        torch.randn(3, requires_grad=True),
        torch.zeros(1, requires_grad=True),
    )
    got = torch.autograd.grad(ops.gaussian_log_prob(x, mean, v).sum(), (x, mean, v))
    naive = -0.5 * ((x - mean) ** 2 * (-v).exp() + v + math.log(2 * math.pi))
    torch.testing.assert_close(got, torch.autograd.grad(naive.sum(), (x, mean, v)))


@given(st.floats(-1e30, 1e30), st.floats(0.1, 50))
def test_a_bound_is_kept_and_its_slope_is_alive(raw: float, bound: float) -> None:
    """Within ±bound; the slope fades, and is not cut off at the bound as that of a clamp is."""
    value, slope = at(lambda r: ops.bounded_log_var(r, bound), [raw], dtype=torch.float64)
    assert abs(value[0]) <= bound
    assert slope[0] == pytest.approx(1 - math.tanh(raw / bound) ** 2, abs=1e-12)
    _, beyond = at(lambda r: ops.bounded_log_var(r, bound), [2 * bound], dtype=torch.float64)
    assert beyond[0] > 0.05


def test_a_bound_of_six() -> None:
    """Its ends, its middle, and the slope of 1 there."""
    value, slope = at(lambda r: ops.bounded_log_var(r, 6.0), [math.inf, -math.inf, 0.0])
    assert value == [6.0, -6.0, 0.0]
    assert slope[2] == 1
