from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.derive import at

from evenkeel import ops
from evenkeel.core.errors import UsageError

INF, NAN = math.inf, math.nan


def test_a_count_of_zero_is_exactly_minus_the_rate() -> None:
    """To the bit, however small the rate; and so is the slope."""
    log_rate = [-80.0, -20.0, -1e-3, 0.0, 5.0]
    value, slope = at(lambda r: ops.poisson_log_prob(torch.zeros(5), r), log_rate)
    rate = torch.tensor(log_rate).exp().tolist()
    assert value == [-r for r in rate]
    assert slope == [-r for r in rate]


def test_a_large_count_keeps_its_digits() -> None:
    """A million counts at their own rate: -7.83, where the naive form is off by more than .1 in float32."""
    x = torch.tensor([1e6])
    exact = -0.5 * math.log(2 * math.pi * 1e6) - 1 / 12e6
    log_rate = torch.tensor([math.log(1e6)])  # rounded, which is not our error: (x - rate)·δ is 0.05² x at most
    assert ops.poisson_log_prob(x, log_rate).item() == pytest.approx(exact, abs=1e-4)
    assert abs((x * log_rate - log_rate.exp() - torch.lgamma(x + 1)).item() - exact) > 0.1


def test_edges() -> None:
    """Small rates give no log 0; where the rate overflows, or is nan, nothing finite is made up."""
    value, slope = at(
        lambda r: ops.poisson_log_prob(torch.tensor([5.0, 0.0, 3.0, 0.0]), r), [-200.0, -200.0, 89.0, NAN]
    )
    assert value[0] == pytest.approx(-1000 - math.log(120))
    assert slope[:2] == [5.0, 0.0]
    assert value[1] == 0
    assert not math.isfinite(value[2])
    assert slope[2] == -INF
    assert math.isnan(value[3])
    for bad in (-1.0, -2.0, NAN):
        assert not math.isfinite(ops.poisson_log_prob(torch.tensor(bad), torch.tensor(0.5)))
    for far in (-INF, INF):
        assert not ops.poisson_log_prob(torch.tensor([0.0, 1.0]), torch.tensor(far)).isfinite().any()


def test_fractional_counts() -> None:
    """They follow the same formula."""
    x = torch.tensor([0.25, 0.5, 2.75], dtype=torch.float64)
    r = torch.tensor([-1.0, 0.3, 1.0], dtype=torch.float64)
    naive = x * r - r.exp() - torch.lgamma(x + 1)
    torch.testing.assert_close(ops.poisson_log_prob(x, r), naive, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float64])
def test_counts_of_any_dtype(dtype: torch.dtype) -> None:
    """The dtype of the answer is that of the rates."""
    x = torch.tensor([0, 3, 200]).to(dtype)
    got = ops.poisson_log_prob(x, torch.tensor([0.5], dtype=torch.bfloat16))
    assert got.dtype == torch.bfloat16
    assert torch.equal(got, ops.poisson_log_prob(x.float(), torch.tensor(0.5)).bfloat16())


def test_counts_are_data() -> None:
    """A gradient for them is refused, not given as 0."""
    with pytest.raises(UsageError, match=r"counts are data.*detach"):
        ops.poisson_log_prob(torch.ones(2, requires_grad=True), torch.zeros(2))


@given(st.floats(-8, 6), st.integers(0, 2000))
def test_probabilities_sum_to_one(log_rate: float, shift: int) -> None:
    """Over all counts that matter."""
    x = torch.arange(0, 4000, dtype=torch.float64)
    p = ops.poisson_log_prob(x, torch.tensor(log_rate, dtype=torch.float64)).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-12)
    assert ((p[shift + 1] / p[shift]).item() == pytest.approx(math.exp(log_rate) / (shift + 1), rel=1e-9)) or p[
        shift
    ] < 1e-250
