"""Likelihoods of counts, of Gaussians and of shares, and their slopes.

Bounds are in ulp of what the pages of the operations say: for counts, the value plus what rounding the parameters once
may change it; for slopes, their largest terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from mpmath import mp
from torch import Tensor
from torch.nn.functional import softplus
from ulps import Points, Row, line, slope

from evenkeel import ops


def at_counts(*ranges: tuple[float, float], theta: bool) -> Points:
    """Counts, a third of them 0 or small, a third where the mean is, a third anywhere; and the parameters."""

    def points(dtype: torch.dtype, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        lines = [line(dtype, count, generator, *r) for r in ranges]
        parameters = [x[torch.randint(len(x), (count,), generator=generator)] for x in lines]
        mean = parameters[0].double().exp()
        kind = torch.rand(count, generator=generator)
        variance = mean + mean.square() * (-parameters[1].double()).exp() if theta else mean
        drawn = mean + variance.sqrt() * torch.randn(count, generator=generator, dtype=torch.float64)
        small = torch.randint(0, 12, (count,), generator=generator).double()
        anywhere = (torch.rand(count, generator=generator, dtype=torch.float64) * 16).exp()
        counts = torch.where(kind < 0.4, small, torch.where(kind < 0.7, drawn, anywhere))
        largest = 2.0**11 if dtype == torch.float16 else 2.0**8 if dtype == torch.bfloat16 else 2.0**24
        return counts.round().clamp(0, largest).to(dtype), *parameters

    return points


def poisson(x: object, r: object) -> object:
    return x * r - mp.exp(r) - mp.loggamma(x + 1)


def rounded_rate(exact: object, x: object, r: object) -> object:
    return abs(exact) + abs(x - mp.exp(r)) * (1 + abs(r))


def negative_binomial(x: object, m: object, t: object) -> object:
    mean, theta = mp.exp(m), mp.exp(t)
    gammas = mp.loggamma(x + theta) - mp.loggamma(theta) - mp.loggamma(x + 1)
    return gammas - theta * mp.log1p(mean / theta) + x * (m - mp.log(theta + mean))


def by_mean(x: object, m: object, t: object) -> object:
    mean, theta = mp.exp(m), mp.exp(t)
    return (x - mean) * theta / (theta + mean)


def by_theta(x: object, m: object, t: object) -> object:
    mean, theta = mp.exp(m), mp.exp(t)
    gammas = mp.digamma(x + theta) - mp.digamma(theta)
    return theta * (gammas - mp.log1p(mean / theta) + (mean - x) / (theta + mean))


def rounded_parameters(exact: object, x: object, m: object, t: object) -> object:
    return abs(exact) + (1 + abs(m) + abs(t)) * (abs(by_mean(x, m, t)) + abs(by_theta(x, m, t)))


def larger_product(_exact: object, x: object, m: object, t: object) -> object:
    mean, theta = mp.exp(m), mp.exp(t)
    return max(x, mean) * theta / (theta + mean)


def terms_of_theta(_exact: object, x: object, m: object, t: object) -> object:
    """theta·(z - log(1 + z)), x/(2n), and what rounding the parameters does to the first of them."""
    mean, theta = mp.exp(m), mp.exp(t)
    z = (x - mean) / (theta + mean)
    rounding = abs(by_mean(x, m, t)) * max(x, mean) / (theta + mean)
    return theta * (z - mp.log1p(z)) + x / (2 * (theta + x)) + rounding


def gaussian(x: object, mean: object, v: object) -> object:
    return -((x - mean) ** 2 * mp.exp(-v) + v + mp.log(2 * mp.pi)) / 2


def rounded_gaussian(exact: object, x: object, mean: object, v: object) -> object:
    return max(1, abs(exact)) + (x - mean) ** 2 * mp.exp(-v) * (1 + abs(v))


def logistic(x: object) -> object:
    return 1 / (1 + mp.exp(-x))


def zero_inflated(x: object, m: object, t: object, z: object) -> object:
    of_counts = negative_binomial(x, m, t)
    if x > 0:
        return of_counts - mp.log1p(mp.exp(z))
    return mp.log1p(logistic(-z) * mp.expm1(of_counts))


def rounded_zero_inflated(exact: object, x: object, m: object, t: object, z: object) -> object:
    inner = rounded_parameters(negative_binomial(x, m, t), x, m, t)
    return abs(exact) + inner * (1 if x > 0 else logistic(negative_binomial(x, m, t) - z)) + abs(z) * logistic(z)


def beta(z: object, u: object, v: object) -> object:
    a, b = mp.exp(u), mp.exp(v)
    norm = mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b)
    return norm + (1 - a) * mp.log1p(mp.exp(-z)) + (1 - b) * mp.log1p(mp.exp(z))


def beta_by_a(z: object, u: object, v: object) -> object:
    a, b = mp.exp(u), mp.exp(v)
    return a * (-mp.log1p(mp.exp(-z)) - mp.digamma(a) + mp.digamma(a + b))


def rounded_beta(exact: object, z: object, u: object, v: object) -> object:
    a, b = mp.exp(u), mp.exp(v)
    by_logit = abs(a * logistic(-z) - b * logistic(z) + logistic(z) - logistic(-z))
    of_a, of_b = abs(beta_by_a(z, u, v)), abs(beta_by_a(-z, v, u))
    return 1 + abs(exact) + by_logit * (1 + abs(z)) + of_a * (1 + abs(u)) + of_b * (1 + abs(v))


def naive_poisson(x: Tensor, r: Tensor) -> Tensor:
    return x * r - r.exp() - torch.lgamma(x + 1)


def naive_negative_binomial(x: Tensor, m: Tensor, t: Tensor) -> Tensor:
    s = m - t
    gammas = torch.lgamma(x + t.exp()) - torch.lgamma(t.exp()) - torch.lgamma(x + 1)
    return gammas + t.exp() * torch.nn.functional.logsigmoid(-s) + x * torch.nn.functional.logsigmoid(s)


def torch_poisson(x: Tensor, r: Tensor) -> Tensor:
    return torch.distributions.Poisson(r.exp(), validate_args=False).log_prob(x)


def torch_negative_binomial(x: Tensor, m: Tensor, t: Tensor) -> Tensor:
    return torch.distributions.NegativeBinomial(t.exp(), logits=m - t, validate_args=False).log_prob(x)


def scvi_negative_binomial(x: Tensor, m: Tensor, t: Tensor) -> Tensor:
    """The formula of scvi-tools 1.4, with its 1e-8 in all logarithms; the package itself cannot stand alone."""
    mean, theta = m.exp() + 1e-8, t.exp()
    total = (theta + mean).log()
    gammas = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    return gammas + theta * ((theta + 1e-8).log() - total) + x * (mean.log() - total)


def scvi_zero_inflated(x: Tensor, m: Tensor, t: Tensor, z: Tensor) -> Tensor:
    """The same for counts with a point mass at 0."""
    total = (t.exp() + m.exp() + 1e-8).log()
    of_failures = t.exp() * ((t.exp() + 1e-8).log() - total) - z
    of_zero = softplus(of_failures) - softplus(-z)
    return torch.where(x < 1e-8, of_zero, scvi_negative_binomial(x, m, t) - z - softplus(-z))


def torch_beta(z: Tensor, u: Tensor, v: Tensor) -> Tensor:
    return torch.distributions.Beta(u.exp(), v.exp(), validate_args=False).log_prob(z.sigmoid())


def _slope(function: Callable[..., Tensor], index: int) -> Callable[..., Tensor]:
    """As `slope`, for functions that take their counts as data."""
    return lambda x, *parameters: slope(lambda *p: function(x, *p), index)(*parameters)


WIDE = ("float32", "float64")
MEAN, THETA = (-30.0, 21.0), (math.log(1e-8), math.log(1e12))
AT_RATES = at_counts(MEAN, theta=False)
AT_THETAS = at_counts(MEAN, THETA, theta=True)


def gaussian_points(dtype: torch.dtype, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Samples within eight standard deviations."""
    v = line(dtype, count, generator, -60.0, 60.0)
    v = v[torch.randint(len(v), (count,), generator=generator)]
    mean = torch.randn(count, generator=generator, dtype=torch.float64).to(dtype)
    z = 16 * torch.rand(count, generator=generator, dtype=torch.float64) - 8
    return (mean.double() + z * (0.5 * v.double()).exp()).to(dtype), mean, v


def beta_points(dtype: torch.dtype, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Logits where the mean is, and anywhere."""
    u = THETA[0] + 36 * torch.rand(2, count, generator=generator, dtype=torch.float64)
    u = u.to(dtype)
    width = (-u.double()).exp().sum(0).sqrt()
    near = (u[0].double() - u[1].double()) + width.clamp(max=5) * torch.randn(count, generator=generator).double()
    far = 60 * torch.rand(count, generator=generator, dtype=torch.float64) - 30
    return torch.where(torch.rand(count, generator=generator) < 0.6, near, far).to(dtype), u[0], u[1]


def inflated_points(dtype: torch.dtype, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """As for negative binomials, half of the counts 0."""
    x, m, t = AT_THETAS(dtype, count, generator)
    x = torch.where(torch.rand(count, generator=generator) < 0.5, 0, x)
    return x, m, t, (40 * torch.rand(count, generator=generator, dtype=torch.float64) - 20).to(dtype)


ROWS = [
    Row(
        "poisson_log_prob",
        ops.poisson_log_prob,
        poisson,
        AT_RATES,
        4,
        4,
        {"naive": naive_poisson, "torch.distributions": torch_poisson},
        unit=rounded_rate,
        dtypes=WIDE,
    ),
    Row(
        "poisson_log_prob slope",
        _slope(ops.poisson_log_prob, 0),
        lambda x, r: x - mp.exp(r),
        AT_RATES,
        2,
        2,
        {"naive": _slope(naive_poisson, 0)},
        unit=lambda _e, x, r: max(x, mp.exp(r)),
        dtypes=WIDE,
    ),
    Row(
        "negative_binomial_log_prob",
        ops.negative_binomial_log_prob,
        negative_binomial,
        AT_THETAS,
        8,
        8,
        {
            "naive": naive_negative_binomial,
            "torch.distributions": torch_negative_binomial,
            "scvi-tools' formula": scvi_negative_binomial,
        },
        unit=rounded_parameters,
        dtypes=WIDE,
    ),
    Row(
        "negative_binomial_log_prob slope of log_mean",
        _slope(ops.negative_binomial_log_prob, 0),
        by_mean,
        AT_THETAS,
        4,
        4,
        {"naive": _slope(naive_negative_binomial, 0), "torch.distributions": _slope(torch_negative_binomial, 0)},
        unit=larger_product,
        dtypes=WIDE,
    ),
    Row(
        "negative_binomial_log_prob slope of log_theta",
        _slope(ops.negative_binomial_log_prob, 1),
        by_theta,
        AT_THETAS,
        8,
        8,
        {"naive": _slope(naive_negative_binomial, 1), "torch.distributions": _slope(torch_negative_binomial, 1)},
        unit=terms_of_theta,
        dtypes=WIDE,
    ),
    Row(
        "zero_inflated_negative_binomial_log_prob",
        ops.zero_inflated_negative_binomial_log_prob,
        zero_inflated,
        inflated_points,
        8,
        8,
        {"scvi-tools' formula": scvi_zero_inflated},
        unit=rounded_zero_inflated,
        dtypes=WIDE,
    ),
    Row(
        "gaussian_log_prob",
        ops.gaussian_log_prob,
        gaussian,
        gaussian_points,
        4,
        4,
        {"naive": lambda x, m, v: -0.5 * ((x - m) ** 2 / v.exp() + v + math.log(2 * math.pi))},
        unit=rounded_gaussian,
        dtypes=WIDE,
    ),
    Row(
        "beta_log_prob",
        ops.beta_log_prob,
        beta,
        beta_points,
        8,
        8,
        {"torch.distributions": torch_beta},
        unit=rounded_beta,
        dtypes=WIDE,
    ),
]
