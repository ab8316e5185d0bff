"""Divergences between distributions that are far from one another, and nearly the same."""

from __future__ import annotations

from functools import partial

import torch
from mpmath import mp
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence
from ulps import Points, Row, line, peer, slope

from evenkeel import ops

TORCHMETRICS = peer("torchmetrics.functional", "kl_divergence")
WIDE = ("float32", "float64")


def near_and_far(low: float, high: float) -> Points:
    """Pairs of logits, half of them next to each other."""

    def points(dtype: torch.dtype, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        x = line(dtype, count, generator, low, high)
        a, b = (x[torch.randint(len(x), (count,), generator=generator)] for _ in range(2))
        apart = torch.randn(count, generator=generator) * 10.0 ** (-9 * torch.rand(count, generator=generator))
        return a, torch.where(torch.rand(count, generator=generator) < 0.5, (a.double() + apart).to(dtype), b)

    return points


def rows_near_and_far(length: int) -> Points:
    """Rows of logits; the second one of a pair a little, or far, beside the first."""

    def points(dtype: torch.dtype, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        rows = max(count, 8)
        a = 4 * torch.randn(rows, length, generator=generator, dtype=torch.float64)
        apart = 10.0 ** (1 - 9 * torch.rand(rows, 1, generator=generator, dtype=torch.float64))
        b = a.to(dtype).double() + apart * torch.randn(rows, length, generator=generator, dtype=torch.float64)
        return a.to(dtype), b.to(dtype)

    return points


def logistic(x: object) -> object:
    return 1 / (1 + mp.exp(-x))


def softplus(x: object) -> object:
    return mp.log1p(mp.exp(x))


def _digits(*sizes: object) -> int:
    """How many it takes to see the square of the smallest one beside 1."""
    return 60 + max(int(-2 * mp.log10(abs(s))) if 0 < abs(s) < 1 else 0 for s in sizes)


def bernoulli_kl(a: object, b: object) -> object:
    with mp.workdps(_digits(a, b, a - b)):
        return logistic(a) * (softplus(-b) - softplus(-a)) + logistic(-a) * (softplus(b) - softplus(a))


def logistic_difference(a: object, b: object) -> object:
    with mp.workdps(_digits(a, b, a - b)):
        return logistic(b) - logistic(a)


def gaussian_kl(m: object, v: object) -> object:
    with mp.workdps(_digits(v)):
        return (m**2 + mp.expm1(v) - v) / 2


def log_softmax(x: list) -> list:
    top = max(x)
    total = top + mp.log(sum(mp.exp(v - top) for v in x))
    return [v - total for v in x]


def categorical_kl(a: list, b: list) -> object:
    return sum(mp.exp(p) * (p - q) for p, q in zip(log_softmax(a), log_softmax(b), strict=True))


def rounded_logs(gap: float, exact: object, a: list, b: list) -> object:
    """The value, and what rounding the logarithms once may change it; `gap` is that between 1 and the next number."""
    total = exact
    for p, q in zip(log_softmax(a), log_softmax(b), strict=True):
        size = 1 + abs(p) + abs(q) + max(map(abs, a + b))
        total += mp.exp(max(p, q)) * (abs(p - q) + gap * size) * size
    return total


def naive_categorical(a: Tensor, b: Tensor) -> Tensor:
    log_p, log_q = torch.log_softmax(a, -1), torch.log_softmax(b, -1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def torchmetrics_categorical(a: Tensor, b: Tensor) -> Tensor:
    return TORCHMETRICS(torch.log_softmax(a, -1), torch.log_softmax(b, -1), log_prob=True, reduction="none")


def torch_bernoulli(a: Tensor, b: Tensor) -> Tensor:
    return kl_divergence(Bernoulli(logits=a), Bernoulli(logits=b))


def naive_gaussian(m: Tensor, v: Tensor) -> Tensor:
    return -0.5 * (1 + v - m**2 - v.exp())


def moments(dtype: torch.dtype, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Means and log-variances; no squares that are subnormal."""
    means = line(dtype, count, generator, -6, 6)
    log_vars = line(dtype, count, generator, -80, 80)
    tiny = torch.finfo(dtype).tiny ** 0.5 * 4
    means, log_vars = (torch.where(x.abs() < tiny, tiny, x) for x in (means, log_vars))
    return tuple(x[torch.randint(len(x), (count,), generator=generator)] for x in (means, log_vars))


ROWS = [
    Row(
        "gaussian_kl",
        ops.gaussian_kl,
        gaussian_kl,
        moments,
        8,
        8,
        {"naive": naive_gaussian},
        dtypes=WIDE,
    ),
    Row(
        "gaussian_kl slope of log_var",
        slope(ops.gaussian_kl, 1),
        lambda _m, v: mp.expm1(v) / 2,
        moments,
        2,
        2,
        {"naive": slope(naive_gaussian, 1)},
        dtypes=WIDE,
    ),
    Row(
        "bernoulli_kl",
        ops.bernoulli_kl,
        bernoulli_kl,
        near_and_far(-40, 40),
        8,
        8,
        {"torch.distributions": torch_bernoulli},
        growth=lambda _e, a, b: 1 + (abs(a) + abs(b)) / 2,
        dtypes=WIDE,
    ),
    Row(
        "bernoulli_kl slope of q_logit",
        slope(ops.bernoulli_kl, 1),
        logistic_difference,
        near_and_far(-40, 40),
        8,
        8,
        {"torch.distributions": slope(torch_bernoulli, 1)},
        growth=lambda _e, a, b: 1 + (abs(a) + abs(b)) / 2,
        dtypes=WIDE,
    ),
    *(
        Row(
            f"categorical_kl in {dtype}",
            ops.categorical_kl,
            categorical_kl,
            rows_near_and_far(6),
            8,
            8,
            {"naive": naive_categorical, "torchmetrics": TORCHMETRICS and torchmetrics_categorical},
            unit=partial(rounded_logs, torch.finfo(getattr(torch, dtype)).eps),
            dtypes=(dtype,),
        )
        for dtype in WIDE
    ),
]
