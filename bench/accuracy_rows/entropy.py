"""p·log p and entropies."""

from __future__ import annotations

import math

import torch
from exact_vectors import mapped
from mpmath import mp
from torch import Tensor
from ulps import Row, elementwise_points, pair_points, slope, vector_points

from evenkeel import ops

INF = math.inf


def log(x: object) -> object:
    return mp.ninf if x == 0 else mp.log(x)


def xlogy(x: object, y: object) -> object:
    return mp.zero if x == 0 and not mp.isnan(y) else x * log(y)


def probabilities_of(x: list) -> list:
    top = max(x)
    weights = [mp.exp(v - top) for v in x]
    total = mp.fsum(weights)
    return [w / total for w in weights]


def entropy(p: list) -> object:
    return -mp.fsum(xlogy(v, v) for v in p)


def by_spread(_exact: object, x: list) -> object:
    return 1 + (max(x) - min(x)) / 2


def categorical(x: Tensor) -> Tensor:
    return torch.distributions.Categorical(logits=x, validate_args=False).entropy()


ROWS = [
    Row(
        "xlogx",
        ops.xlogx,
        lambda p: xlogy(p, p),
        elementwise_points(0.0, INF, 1.0),
        1,
        2,
        {"naive p*log(p)": lambda p: p * torch.log(p), "-torch.special.entr": lambda p: -torch.special.entr(p)},
    ),
    Row(
        "xlogx slope, in ulp of 1 + abs(log p)",
        slope(ops.xlogx),
        lambda p: 1 + log(p),
        elementwise_points(0.0, INF, 1.0, math.exp(-1), without=(0.0,)),
        1,
        2,
        {
            "torch.xlogy(p, p)": slope(lambda p: torch.xlogy(p, p)),
            "-torch.special.entr": slope(lambda p: -torch.special.entr(p)),
        },
        unit=lambda _exact, p: mp.one if p == mp.inf else 1 + abs(mp.log(p)),
    ),
    Row(
        "xlogy",
        ops.xlogy,
        xlogy,
        pair_points((-INF, INF), (0.0, INF)),
        1,
        2,
        {"naive x*log(y)": lambda x, y: x * torch.log(y), "torch.xlogy": torch.xlogy},
    ),
    Row(
        "entropy",
        ops.entropy,
        entropy,
        mapped(vector_points(8, spread=5.0, scales=False), lambda x: torch.softmax(x, -1)),
        1,
        4,
        {"naive -sum p*log(p)": lambda p: -(p * torch.log(p)).sum(-1)},
    ),
    Row(
        "entropy_of_logits / (1 + d/2)",
        ops.entropy_of_logits,
        lambda x: entropy(probabilities_of(x)),
        vector_points(8, spread=8.0, scales=False),
        1,
        4,
        {
            "naive -sum p*log(p)": lambda x: -(torch.softmax(x, -1) * torch.log(torch.softmax(x, -1))).sum(-1),
            "torch Categorical": categorical,
        },
        growth=by_spread,
    ),
]
