"""Remainders of Stirling's formula beside mpmath; the same errors as bench/fit_stirling.py prints."""

from __future__ import annotations

import mpmath
import pytest
import torch
from mpmath import mp, mpf

from evenkeel.ops.log_excess import log_quotient, scaled_log_excess
from evenkeel.ops.stirling import HALF_LOG_2PI, fall_per_count, remainder, remainder_from_one, scaled_slope

DTYPES = [torch.float32, torch.float64]
POINTS = torch.cat([torch.logspace(-8, 12, 301, dtype=torch.float64), torch.linspace(0.5, 3, 101, dtype=torch.float64)])


def exact_remainder(z: mpf) -> mpf:
    """By its definition."""
    return mp.loggamma(z) - (z - mpf(1) / 2) * mp.log(z) + z - mp.log(2 * mp.pi) / 2


def exact_slope(z: mpf) -> mpf:
    """By its definition."""
    return z * (mp.digamma(z) - mp.log(z)) + mpf(1) / 2


def worst(got: torch.Tensor, exact: object, at: torch.Tensor, unit: object) -> float:
    """The largest error in units of eps times what `unit` says."""
    with mpmath.workdps(60):
        eps = torch.finfo(got.dtype).eps
        pairs = zip(got.tolist(), map(mpf, at.tolist()), strict=True)
        return float(max(abs(g - exact(z)) / (unit(z) * eps) for g, z in pairs))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_remainder(dtype: torch.dtype) -> None:
    """3 ulp of 1, and of the logarithm that comes in below 1; there without an upper end of its range."""
    z = POINTS.to(dtype)
    got = remainder(z, z.reciprocal().log1p())
    assert worst(got, exact_remainder, z, lambda z: 3 + mp.log1p(1 / z)) <= 1
    above = z[z >= 1]
    assert worst(remainder_from_one(above), exact_remainder, above, lambda _z: 0.5) <= 1
    assert remainder_from_one(torch.tensor(torch.inf, dtype=dtype)) == 0


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_fall_per_count(dtype: torch.dtype) -> None:
    """Times the count it is how much of the remainder is gone: half an ulp of 1; at the end of its range, all of it."""
    t = POINTS[POINTS > 1].reciprocal().to(dtype)
    got = fall_per_count(t)

    def exact(t: mpf) -> mpf:
        return (exact_remainder(mpf(1)) - exact_remainder(1 / t)) / (1 / t - 1)

    at_inf = fall_per_count(torch.tensor(0.0, dtype=dtype))
    assert worst(got, exact, t, lambda t: 0.5 * t / (1 - t) + 2 * exact(t)) <= 1
    assert at_inf == 0
    small = torch.tensor([1e-20], dtype=dtype)
    assert (fall_per_count(small) / small).item() == pytest.approx(1 - HALF_LOG_2PI, rel=5e-7)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_scaled_slope(dtype: torch.dtype) -> None:
    """8 ulp of itself above 1, 4 ulp of 1 below."""
    z = POINTS.to(dtype)
    got = scaled_slope(z, z.reciprocal().log1p())
    assert worst(got, exact_slope, z, lambda z: 2 * abs(exact_slope(z)) if z >= 1 else mpf(1)) <= 4


def test_the_constant() -> None:
    """Half the logarithm of 2π."""
    assert mpf(HALF_LOG_2PI) == pytest.approx(mp.log(2 * mp.pi) / 2, abs=1e-16)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_log_excess(dtype: torch.dtype) -> None:
    """Within 6 ulp from 1e-15 to 1e6 and towards -1, where the plain difference loses all digits."""
    sizes = torch.logspace(-15, 6, 200, dtype=torch.float64)
    z = torch.cat([sizes, -sizes[sizes < 0.99]]).to(dtype)
    got = scaled_log_excess(1.0, z, torch.log1p(z))
    assert worst(got, lambda z: z - mp.log1p(z), z, lambda z: z - mp.log1p(z)) <= 6
    plain = z - torch.log1p(z)
    assert worst(plain, lambda z: z - mp.log1p(z), z, lambda z: z - mp.log1p(z)) > 1e5


def test_a_scale_saves_what_would_underflow() -> None:
    """1e30 times half of 1e-50."""
    z = torch.tensor([1e-25])
    assert scaled_log_excess(torch.tensor([1e30]), z, torch.log1p(z)).item() == pytest.approx(5e-21, rel=1e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_log_quotient(dtype: torch.dtype) -> None:
    """Near 1 from the excess, near 0 from the quotient, 3 ulp throughout; either alone fails at one end."""
    excess = torch.cat([torch.logspace(-12, 10, 100), -torch.logspace(-12, -0.01, 100)]).double().to(dtype)
    quotient = (1 + excess.double()).to(dtype)
    got = log_quotient(quotient, excess)
    assert worst(got, mp.log1p, excess, lambda z: abs(mp.log1p(z)) + (1 / (1 + z) if z < -0.5 else 0)) <= 3
    assert log_quotient(torch.tensor(1e-30), torch.tensor(-1.0)).item() == pytest.approx(-69.0776, rel=1e-6)
    assert worst(torch.log(quotient), mp.log1p, excess, lambda z: abs(mp.log1p(z))) > 1e3
