"""Softmax and its relatives."""

from __future__ import annotations

import torch
from mpmath import mp
from torch import Tensor
from ulps import Row, vector_points

from evenkeel import ops

LOGITS = vector_points(8, spread=12.0, scales=False)


def weights(x: list) -> list:
    top = max(x)
    return [mp.exp(v - top) for v in x]


def softmax(x: list) -> list:
    each = weights(x)
    total = mp.fsum(each)
    return [w / total for w in each]


def log_softmax(x: list) -> list:
    top = x.index(max(x))
    rest = mp.fsum(w for i, w in enumerate(weights(x)) if i != top)
    return [v - x[top] - mp.log1p(rest) for v in x]


GROUPS = [0, 1, 1, 0, 1, 0, 0, 0]


def in_groups(function: object, x: list) -> list:
    """A function of the members of each group, in the places of the members."""
    found = [function([v for v, g in zip(x, GROUPS, strict=True) if g == wanted]) for wanted in (0, 1)]
    parts = [iter(values) for values in found]
    return [next(parts[g]) for g in GROUPS]


def naive_groups(x: Tensor) -> Tensor:
    total = x.new_zeros(*x.shape[:-1], 2).index_add(-1, torch.tensor(GROUPS), x.exp())
    return x.exp() / total[..., GROUPS]


def logsumexp(x: list) -> object:
    return max(x) + mp.log(mp.fsum(weights(x)))


def below(_exact: object, x: list) -> list:
    return [1 + (max(x) - v) / 2 for v in x]


def gap_at_maximum(_exact: object, x: list) -> list:
    first, second = sorted(x, reverse=True)[:2]
    return [1 + (first - second) / 2 if v == first else mp.one for v in x]


ROWS = [
    Row(
        "softmax / (1 + d/2)",
        ops.softmax,
        softmax,
        LOGITS,
        1,
        5,
        {"naive exp/sum": lambda x: x.exp() / x.exp().sum(-1, keepdim=True), "torch.softmax": lambda x: x.softmax(-1)},
        growth=below,
    ),
    Row(
        "grouped_softmax / (1 + d/2)",
        lambda x: ops.grouped_softmax(x, torch.tensor(GROUPS), 2, -1),
        lambda x: in_groups(softmax, x),
        LOGITS,
        1,
        5,
        {"naive exp/sum": naive_groups},
        growth=lambda exact, x: in_groups(lambda part: below(exact, part), x),
    ),
    Row(
        "log_softmax / (1 + d/2 at the maximum)",
        ops.log_softmax,
        log_softmax,
        LOGITS,
        1,
        3,
        {"naive log(softmax)": lambda x: x.softmax(-1).log(), "torch.log_softmax": lambda x: x.log_softmax(-1)},
        growth=gap_at_maximum,
    ),
    Row(
        "logsumexp",
        ops.logsumexp,
        logsumexp,
        LOGITS,
        1,
        4,
        {"naive log(sum(exp))": lambda x: x.exp().sum(-1).log(), "torch.logsumexp": lambda x: torch.logsumexp(x, -1)},
        unit=lambda exact, x: max(abs(exact), abs(max(x))),
    ),
]
