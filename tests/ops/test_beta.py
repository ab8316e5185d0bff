from __future__ import annotations

import math

import pytest
import torch
from tests.ops.derive import at
from torch.distributions import Beta

from evenkeel import ops


def test_beside_torch_where_torch_is_exact() -> None:
    """Where nothing cancels, both agree."""
    z, a, b = torch.randn(3, 200, dtype=torch.float64)
    torch.testing.assert_close(
        ops.beta_log_prob(z, a, b), Beta(a.exp(), b.exp()).log_prob(z.sigmoid()), rtol=1e-11, atol=1e-12
    )


def test_the_far_ends() -> None:
    """An x within 1e-40 of 1, whose logit is as exact as any other; torch has nan or inf there."""
    value, by_logit, by_a, by_b = at(ops.beta_log_prob, [92.0], [0.0], [1.0])
    b = math.e
    assert value[0] == pytest.approx(math.log(b) - (b - 1) * 92, rel=1e-6)
    assert by_logit[0] == pytest.approx(-(b - 1), rel=1e-6)
    assert by_b[0] == pytest.approx(1 - 92 * b, rel=1e-6)
    assert by_a[0] == pytest.approx(torch.digamma(torch.tensor(1 + b)).item() + 0.5772157, rel=1e-5)
    x = torch.tensor(92.0).sigmoid()
    assert not Beta(torch.tensor(1.0), torch.tensor(b), validate_args=False).log_prob(x).isfinite()


def test_concentrated() -> None:
    """At a = b = 1e10 at their mean: the density of a normal with that variance, to 1e-6 in float32."""
    u = math.log(1e10)
    value, *_ = at(ops.beta_log_prob, [0.0], [u], [u])
    assert value[0] == pytest.approx(0.5 * math.log(8e10 / (2 * math.pi)), rel=1e-6)


def test_one_deviation_from_the_mean_of_a_concentrated_one() -> None:
    """In float32 as in float64, to what rounding the arguments may change; log(ratio) alone is 10 off."""
    z, u = torch.tensor([1.5e-4, -3e-4]), torch.tensor(18.5)
    wide = ops.beta_log_prob(z.double(), u.double(), u.double())
    torch.testing.assert_close(ops.beta_log_prob(z, u, u).double(), wide, rtol=0, atol=5e-3)


def test_symmetry() -> None:
    """Exchanging the parameters mirrors the density."""
    z, a, b = torch.randn(3, 50)
    torch.testing.assert_close(ops.beta_log_prob(z, a, b), ops.beta_log_prob(-z, b, a))


def test_nan_comes_through() -> None:
    """No nan is swallowed, in whichever argument it stands."""
    one = torch.tensor(1.0)
    for bad in ((math.nan, 1.0, 1.0), (1.0, math.nan, 1.0), (1.0, 1.0, math.nan)):
        assert math.isnan(ops.beta_log_prob(*(one * v for v in bad)))
