"""Quotients, means and spreads."""

from __future__ import annotations

import math

import torch
from exact_vectors import PLAIN, SCALED, mapped
from mpmath import mp
from torch import Tensor
from ulps import Row, pair_points, vector_points

from evenkeel import ops

INF = math.inf


def open_part(x: Tensor) -> Tensor:
    return torch.arange(x.shape[-1]) % 2 == 0


def divided(a: object, b: object) -> object:
    if b == 0:
        return mp.nan if mp.isnan(a) else mp.zero
    return a / b


def mean(x: list) -> object:
    return mp.fsum(x) / len(x)


def variance(x: list) -> object:
    middle = mean(x)
    return mp.fsum((v - middle) ** 2 for v in x) / (len(x) - 1)


def naive_std(x: Tensor) -> Tensor:
    count = x.shape[-1]
    return ((x.square().mean(-1) - x.mean(-1).square()) * count / (count - 1)).sqrt()


OFFSET = mapped(PLAIN, lambda x: 100 + x)
ROWS = [
    Row(
        "divide",
        ops.divide,
        divided,
        pair_points((-INF, INF), (-INF, INF)),
        1,
        1,
        {"where(b=0, 0, a/b)": lambda a, b: torch.where(b == 0, 0.0, a / b)},
    ),
    Row(
        "masked_mean, in ulp of the mean of abs(x)",
        lambda x: ops.masked_mean(x, open_part(x), -1).value,
        lambda x: mean(x[::2]),
        vector_points(8, spread=0.1),
        1,
        2,
        {"naive sum(x*m)/sum(m)": lambda x: (x * open_part(x)).sum(-1) / open_part(x).sum()},
        unit=lambda _exact, x: mean([abs(v) for v in x[::2]]),
    ),
    Row(
        "masked_var",
        lambda x: ops.masked_var(x, open_part(x), -1).value,
        lambda x: variance(x[::2]),
        PLAIN,
        1,
        8,
        {"torch.var of the part": lambda x: x[..., ::2].var(-1)},
    ),
    Row(
        "std, at every scale",
        lambda x: ops.std(x, -1),
        lambda x: mp.sqrt(variance(x)),
        SCALED,
        1,
        4,
        {"naive sqrt(E[x²]-E[x]²)": naive_std, "torch.std": lambda x: x.std(-1)},
    ),
    Row(
        "std, 100 from 0",
        lambda x: ops.std(x, -1),
        lambda x: mp.sqrt(variance(x)),
        OFFSET,
        1,
        4,
        {"naive sqrt(E[x²]-E[x]²)": naive_std, "torch.std": lambda x: x.std(-1)},
    ),
]
