from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.derive import at

from evenkeel import ops

INF, NAN = math.inf, math.nan


def test_outcomes_that_cannot_happen() -> None:
    """Under both, under p only counts for nothing; under q only it costs everything. No gradient is nan."""
    p, q = [[0.0, 1.0, -INF], [0.0, 1.0, -INF], [0.0, 1.0, 2.0]], [[1.0, 0.0, -INF], [1.0, 0.0, 5.0], [1.0, 0.0, -INF]]
    value, by_p, by_q = at(ops.categorical_kl, p, q)
    assert value[0] == pytest.approx((math.e - 1) / (math.e + 1))
    assert value[1] > value[0]
    assert value[2] == INF
    assert by_p[0][2] == by_q[0][2] == by_p[1][2] == 0.0
    assert all(math.isfinite(g) for row in (*by_p[:2], *by_q[:2]) for g in row)
    value, by_p, by_q = at(ops.categorical_cross_entropy, p, q)
    assert value[2] == INF
    assert all(math.isfinite(g) for row in (*by_p[:2], *by_q[:2]) for g in row)


def test_a_row_that_nobody_uses_is_silent() -> None:
    """Its divergence is inf, and so is a slope of it."""
    p, q = torch.tensor([[0.0, 1.0], [0.0, 1.0]], requires_grad=True), torch.tensor([[1.0, 0.0], [-INF, 0.0]])
    value = ops.categorical_kl(p, q)
    (slope,) = torch.autograd.grad(torch.where(value < INF, value, 0.0).sum(), p)
    assert slope[1].tolist() == [0.0, 0.0]
    assert slope[0].isfinite().all()
    log_var = torch.tensor([0.5, 90.0], requires_grad=True)
    value = ops.gaussian_kl(torch.zeros(2), log_var)
    (slope,) = torch.autograd.grad(torch.where(value < INF, value, 0.0).sum(), log_var)
    assert slope.tolist() == pytest.approx([math.expm1(0.5) / 2, 0.0])


def test_no_outcomes_at_all() -> None:
    """Nothing diverges from nothing, without a gradient."""
    value, by_p, by_q = at(ops.categorical_kl, [-INF, -INF], [0.0, 1.0])
    assert value == 0
    assert by_p == by_q == [0.0, 0.0]


def test_nearly_the_same() -> None:
    """The naive sum is rounding error there, of either sign; the divergence is ½·Σ (p - q)²/p."""
    torch.manual_seed(0)
    p = torch.randn(200, 8)
    q = p + 1e-4 * torch.randn(200, 8)
    got = ops.categorical_kl(p, q)
    wanted = ops.categorical_kl(p.double(), q.double())
    assert (got >= 0).all()
    torch.testing.assert_close(got.double(), wanted, rtol=0.02, atol=0)  # log_softmax itself is rounded in float32
    a, b = torch.log_softmax(p, -1), torch.log_softmax(q, -1)
    naive = (a.exp() * (a - b)).sum(-1)
    assert (naive < 0).any()


@given(st.lists(st.floats(-300, 300), min_size=2, max_size=6), st.randoms())
def test_never_negative(logits: list[float], rng: object) -> None:
    """However far the logits lie apart, with finite gradients; and 0 for equal ones."""
    p = torch.tensor(logits)
    q = torch.tensor([v + rng.uniform(-400, 400) for v in logits])
    value, by_p, by_q = at(ops.categorical_kl, p.tolist(), q.tolist())
    assert 0 <= value < INF
    assert all(map(math.isfinite, by_p + by_q))
    assert ops.categorical_kl(p, p) == 0


def test_targets_as_probabilities() -> None:
    """The recipe's own numbers: 258.97 nats, and a gradient that does not fade."""
    value, slope = at(lambda q: ops.kl_of_target(torch.tensor([0.2, 0.3, 0.5]), q), [0.0, -200.0, -400.0])
    assert value == pytest.approx(258.97, abs=0.01)
    assert slope == pytest.approx([0.8, -0.3, -0.5])
    value, slope = at(lambda q: ops.kl_of_target(torch.tensor([0.0, 1.0]), q), [-INF, 0.0])
    assert value == 0
    assert slope == [0.0, 0.0]
    assert ops.kl_of_target(torch.tensor([0.5, 0.5]), torch.tensor([-INF, 0.0])) == INF
    assert math.isnan(ops.kl_of_target(torch.tensor([-0.5, 1.5]), torch.tensor([0.0, 0.0])))


def test_bernoulli_far_out() -> None:
    """Where both probabilities round to 1, and where one rounds to 0."""
    value, by_p, by_q = at(ops.bernoulli_kl, [40.0, 200.0, -200.0], [41.0, -200.0, 200.0])
    assert value[0] == pytest.approx(math.exp(-40) * (1 - 2 + math.exp(-1) + 1), rel=1e-5)
    assert value[1:] == [200.0, 200.0]
    assert by_q[0] == pytest.approx(math.exp(-40) - math.exp(-41), rel=1e-5)
    assert by_q[1:] == [-1.0, 1.0]
    assert by_p[1:] == [0.0, 0.0]


def test_a_standard_gaussian_diverges_by_nothing() -> None:
    """And a nearly standard one by what it should, not by rounding."""
    value, by_mean, by_log_var = at(ops.gaussian_kl, [0.0, 0.0, 0.0], [0.0, 1e-6, -80.0])
    assert value == pytest.approx([0.0, 2.5e-13, 39.5], rel=1e-6)
    assert by_mean == [0.0] * 3
    assert by_log_var == pytest.approx([0.0, 5e-7, -0.5], rel=1e-6)
    assert ops.gaussian_kl(torch.tensor(0.0), torch.tensor(89.0)) == INF
    assert math.isnan(ops.gaussian_kl(torch.tensor(0.0), torch.tensor(NAN)))
