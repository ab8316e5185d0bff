from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.derive import at

from evenkeel import ops

INF, NAN = math.inf, math.nan


def inflated(x: list) -> object:
    """The mixture with these counts, as a function of the two parameters."""
    return lambda a, z: ops.zero_inflated_log_prob(torch.tensor(x), a, z)


def test_nothing_rounds_to_log_zero() -> None:
    """Both ways to a zero as good as excluded, neither, and a mass that is nearly everything."""
    value, by_a, by_z = at(inflated([0, 0, 0, 4]), [-1e4, -200.0, 0.0, -3.0], [-100.0, -200.0, 50.0, 100.0])
    assert value == pytest.approx([-100.0, -200.0 + math.log(2), 0.0, -103.0])
    assert by_a == pytest.approx([0.0, 0.5, 0.0, 1.0], abs=1e-20)
    assert by_z == pytest.approx([1.0, 0.5, 0.0, -1.0])


def test_a_slope_that_is_no_difference_of_probabilities() -> None:
    """log_prob(0) = -1e-6: the slope is 2.5e-7, not the difference of two roundings of ½."""
    _, _, by_z = at(inflated([0]), [-1e-6], [0.0])
    assert by_z[0] == pytest.approx(2.5e-7, rel=1e-5)
    assert (torch.sigmoid(torch.tensor(1e-6)) - 0.5).item() != pytest.approx(2.5e-7, rel=1e-2)


def test_not_a_number() -> None:
    """What has no meaning gives no number."""
    assert math.isnan(ops.zero_inflated_log_prob(torch.tensor(0), torch.tensor(-INF), torch.tensor(-INF)))
    for a, z in ((NAN, 0.0), (0.0, NAN)):
        assert math.isnan(ops.zero_inflated_log_prob(torch.tensor(0), torch.tensor(a), torch.tensor(z)))


@given(st.floats(-30, 30), st.floats(-3, 4), st.floats(-3, 10))
def test_probabilities_sum_to_one(z: float, m: float, t: float) -> None:
    """Over all counts that matter."""
    x = torch.arange(0, 20_000, dtype=torch.float64)
    parameters = [torch.tensor(v, dtype=torch.float64) for v in (m, t, z)]
    p = ops.zero_inflated_negative_binomial_log_prob(x, *parameters).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-10)


def test_without_inflation_it_is_what_it_was() -> None:
    """A mass of nothing changes nothing."""
    x, m, t = torch.tensor([0, 3]), torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.1])
    got = ops.zero_inflated_negative_binomial_log_prob(x, m, t, torch.tensor(-90.0))
    torch.testing.assert_close(got, ops.negative_binomial_log_prob(x, m, t))
