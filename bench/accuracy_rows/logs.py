"""Logarithms of sums and differences of exponentials."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from mpmath import mp
from torch import Tensor
from ulps import Row, close_pairs, elementwise_points, slope

from evenkeel import ops

INF = math.inf


def log1p(x: object) -> object:
    return mp.ninf if x == -1 else mp.log1p(x)


def log1mexp(x: object) -> object:
    if x == 0:
        return mp.ninf
    return mp.log(-mp.expm1(x)) if x > -1 else log1p(-mp.exp(x))


def log1pexp(x: object) -> object:
    return x + mp.log1p(mp.exp(-x)) if x > 0 else mp.log1p(mp.exp(x))


def logistic(x: object) -> object:
    return 1 / (1 + mp.exp(-x)) if x > 0 else mp.exp(x) / (1 + mp.exp(x))


def log_softplus(x: object) -> object:
    return mp.ninf if x == mp.ninf else mp.log(log1pexp(x))


def log_softplus_slope(x: object) -> object:
    return mp.mpf(x < 0) if mp.isinf(x) else logistic(x) / log1pexp(x)


def or_one(exact: object, _x: object) -> object:
    """The result passes through 0."""
    return max(abs(exact), 1)


def difference(a: object, b: object) -> object:
    return mp.zero if a == b else a - b


def logaddexp(a: object, b: object) -> object:
    return max(a, b) + mp.log1p(mp.exp(-abs(difference(a, b))))


def logsubexp(a: object, b: object) -> object:
    return a if b == mp.ninf else mp.ninf if a == b and mp.isfinite(a) else a + log1mexp(b - a)


def log_cosh_twice(u: object) -> object:
    return -2 * (abs(u) - mp.log(2) + mp.log1p(mp.exp(-2 * abs(u)))) if abs(u) > 1 else -mp.log1p(mp.sinh(u) ** 2)


def of_larger(exact: object, a: object, b: object) -> object:
    """The magnitude whose ulp counts, as the parts may cancel."""
    finite = [abs(v) for v in (exact, max(a, b)) if mp.isfinite(v)]
    return max(finite, default=mp.zero)


def by_difference(_exact: object, a: object, b: object) -> object:
    """The difference is rounded before its exponential is taken."""
    apart = abs(difference(a, b))
    return 1 + apart / 2 if apart < 1000 else mp.one


def tanh_transform(u: Tensor) -> Tensor:
    transform = torch.distributions.transforms.TanhTransform()
    return transform.log_abs_det_jacobian(u, transform(u))


ROWS = [
    Row(
        "log1mexp",
        ops.log1mexp,
        log1mexp,
        elementwise_points(-INF, 0.0, -math.log(2)),
        1,
        2,
        {
            "naive log(1-exp)": lambda x: torch.log(1 - torch.exp(x)),
            "log(-expm1)": lambda x: torch.log(-torch.expm1(x)),
        },
    ),
    Row(
        "log1mexp slope",
        slope(ops.log1mexp),
        lambda x: mp.ninf if x == 0 else mp.exp(x) / mp.expm1(x) if x > mp.ninf else mp.zero,
        elementwise_points(-INF, 0.0, -math.log(2)),
        1,
        3,
        {"naive log(1-exp)": slope(lambda x: torch.log(1 - torch.exp(x)))},
    ),
    Row(
        "log1pexp",
        ops.log1pexp,
        log1pexp,
        elementwise_points(-INF, INF, 20.0),
        1,
        2,
        {"naive log(1+exp)": lambda x: torch.log(1 + torch.exp(x)), "F.softplus": F.softplus},
    ),
    Row(
        "log1pexp slope",
        slope(ops.log1pexp),
        logistic,
        elementwise_points(-INF, INF),
        1,
        3,
        {"torch.sigmoid": torch.sigmoid, "F.softplus": slope(F.softplus)},
    ),
    Row(
        "log_softplus, in ulp of max(1, abs)",
        ops.log_softplus,
        log_softplus,
        elementwise_points(-INF, INF, math.log(math.e - 1), -80.0),
        1,
        3,
        {"naive log(F.softplus)": lambda x: torch.log(F.softplus(x))},
        unit=or_one,
    ),
    Row(
        "log_softplus slope",
        slope(ops.log_softplus),
        log_softplus_slope,
        elementwise_points(-INF, INF, math.log(math.e - 1), -80.0),
        1,
        4,
        {"naive log(F.softplus)": slope(lambda x: torch.log(F.softplus(x)))},
    ),
    Row(
        "logaddexp / (1 + d/2)",
        ops.logaddexp,
        logaddexp,
        close_pairs(-INF, INF, descending=False),
        1,
        3,
        {
            "naive log(exp+exp)": lambda a, b: torch.log(torch.exp(a) + torch.exp(b)),
            "torch.logaddexp": torch.logaddexp,
        },
        unit=of_larger,
        growth=by_difference,
    ),
    Row(
        "logaddexp slope / (1 + d/2)",
        slope(ops.logaddexp),
        lambda a, b: mp.zero if a == mp.ninf else logistic(difference(a, b)),
        close_pairs(-INF, INF, descending=False),
        1,
        3,
        {"torch.logaddexp": slope(torch.logaddexp)},
        growth=by_difference,
    ),
    Row(
        "logsubexp / (1 + d/2)",
        ops.logsubexp,
        logsubexp,
        close_pairs(-INF, 1e4, descending=True),
        1,
        3,
        {"naive log(exp-exp)": lambda a, b: torch.log(torch.exp(a) - torch.exp(b))},
        unit=of_larger,
        growth=by_difference,
    ),
    Row(
        "log_tanh_derivative",
        ops.log_tanh_derivative,
        log_cosh_twice,
        elementwise_points(-INF, INF, 8.0, -8.0),
        1,
        4,
        {
            "naive log(1-tanh²)": lambda u: torch.log(1 - torch.tanh(u) ** 2),
            "torch TanhTransform": tanh_transform,
        },
    ),
    Row(
        "log_tanh_derivative slope",
        slope(ops.log_tanh_derivative),
        lambda u: -2 * mp.tanh(u),
        elementwise_points(-INF, INF),
        1,
        3,
        {"torch TanhTransform": slope(tanh_transform)},
    ),
]
