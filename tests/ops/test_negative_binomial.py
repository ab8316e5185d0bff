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


def test_poisson_is_the_limit() -> None:
    """In value and slope; the slope of log_theta vanishes like 1/theta and is never rounding noise."""
    x = torch.tensor([0.0, 1.0, 7.0, 300.0])
    log_mean = torch.tensor([0.5, 2.0, 1.0, 5.7], requires_grad=True)
    wanted = ops.poisson_log_prob(x, log_mean)
    (slope,) = torch.autograd.grad(wanted.sum(), log_mean)
    for log_theta in (30.0, 60.0, 100.0, 1e4, 3e38):
        t = torch.full((4,), log_theta, requires_grad=True)
        got = ops.negative_binomial_log_prob(x, log_mean, t)
        torch.testing.assert_close(got, wanted, rtol=1e-6, atol=0)
        by_mean, by_theta = torch.autograd.grad(got.sum(), (log_mean, t))
        torch.testing.assert_close(by_mean, slope, rtol=1e-6, atol=1e-6)
        limit = -((x - log_mean.exp()) ** 2 - x) / 2
        torch.testing.assert_close(by_theta * math.exp(min(log_theta, 60)), limit.detach(), rtol=1e-4, atol=2e-5)


def test_no_eps_at_the_ends() -> None:
    """The recipe's own numbers: at log_mean = -200, -1000 for five counts with slope 5, and 0 for none."""
    value, by_mean, _ = at(
        lambda m, t: ops.negative_binomial_log_prob(torch.tensor([5, 0]), m, t), [-200.0] * 2, [1.0] * 2
    )
    theta = math.e
    constant = math.lgamma(5 + theta) - math.lgamma(theta) - math.lgamma(6) - 5
    assert value == pytest.approx([-1000 + constant, 0], rel=1e-6)
    assert by_mean == pytest.approx([5.0, 0.0], abs=1e-26)
    # a huge mean costs theta for each unit of its logarithm; where it overflows, the result says so
    value, by_mean, _ = at(
        lambda m, t: ops.negative_binomial_log_prob(torch.tensor([0, 5, 5]), m, t), [80.0, 80.0, 89.0], [0.0] * 3
    )
    assert value[:2] == pytest.approx([-80.0, -80.0])
    assert by_mean[:2] == pytest.approx([-1.0, -1.0])
    assert not math.isfinite(value[2])


def test_a_tiny_theta() -> None:
    """The log-probability falls with log_theta, also where theta underflows; at 0 counts there is nothing left."""
    x = torch.tensor([3, 3, 0])
    value, _, by_theta = at(lambda m, t: ops.negative_binomial_log_prob(x, m, t), [1.0] * 3, [-50.0, -150.0, -150.0])
    assert value[:2] == pytest.approx([-50 - math.log(3), -150 - math.log(3)], rel=1e-6)
    assert by_theta[:2] == pytest.approx([1.0, 1.0])
    assert abs(value[2]) < 1e-20
    assert abs(by_theta[2]) < 1e-20


def test_nan_comes_through_and_negative_counts_do_not_pass() -> None:
    """None of these has a finite answer."""
    one = torch.tensor(1.0)
    for arguments in ((NAN, 1.0, 1.0), (1.0, NAN, 1.0), (1.0, 1.0, NAN), (-1.0, 1.0, 1.0), (-7.0, 1.0, 1.0)):
        assert not ops.negative_binomial_log_prob(*(one * a for a in arguments)).isfinite()


def test_counts_are_data() -> None:
    """A gradient for them is refused, not given as 0."""
    with pytest.raises(UsageError, match="counts are data"):
        ops.negative_binomial_log_prob(torch.ones(2, requires_grad=True), torch.zeros(2), torch.zeros(2))


def test_gradients_have_the_shapes_of_the_parameters() -> None:
    """A dispersion for each gene, a mean for each cell and gene, counts that are broadcast too."""
    m, t = torch.randn(5, 3, requires_grad=True), torch.randn(3, requires_grad=True)
    x = torch.tensor([0, 2, 9])
    by_mean, by_theta = torch.autograd.grad(ops.negative_binomial_log_prob(x, m, t).sum(), (m, t))
    full = t.detach().expand(5, 3).clone().requires_grad_()
    wanted = torch.autograd.grad(ops.negative_binomial_log_prob(x, m, full).sum(), (m, full))
    assert by_mean.shape == (5, 3)
    torch.testing.assert_close((by_mean, by_theta), (wanted[0], wanted[1].sum(0)))


def test_the_value_is_the_same_without_a_gradient() -> None:
    """To the bit: what is evaluated is what was trained."""
    x, m, t = torch.tensor([0, 2, 900]), torch.randn(3), torch.randn(3)
    with torch.no_grad():
        plain = ops.negative_binomial_log_prob(x, m, t)
    assert torch.equal(plain, ops.negative_binomial_log_prob(x, m.requires_grad_(), t).detach())


def test_vmap_over_each_argument_alone() -> None:
    """Whichever of the arguments are mapped over, the rows are the same."""
    x, m, t = torch.tensor([[0, 2], [5, 1]]), torch.randn(2, 2), torch.randn(2, 2)
    for dims in ((0, None, None), (None, 0, None), (None, None, 0), (0, 0, None)):
        rows = [[a[i] if d == 0 else a[0] for a, d in zip((x, m, t), dims, strict=True)] for i in range(2)]
        arguments = [a if d == 0 else a[0] for a, d in zip((x, m, t), dims, strict=True)]
        got = torch.func.vmap(ops.negative_binomial_log_prob, dims)(*arguments)
        torch.testing.assert_close(got, torch.stack([ops.negative_binomial_log_prob(*row) for row in rows]))


@given(st.floats(-3, 5), st.floats(-1, 20))
def test_probabilities_sum_to_one_with_the_mean_that_was_asked_for(log_mean: float, log_theta: float) -> None:
    """Over all counts that matter, for all dispersions."""
    x = torch.arange(0, 40_000, dtype=torch.float64)
    m, t = (torch.tensor(v, dtype=torch.float64) for v in (log_mean, log_theta))
    p = ops.negative_binomial_log_prob(x, m, t).exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-11)
    assert (p * x).sum().item() == pytest.approx(math.exp(log_mean), rel=1e-9)
