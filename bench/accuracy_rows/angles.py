"""Angles, hyperbolic distances, rotations."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from exact_vectors import (
    PLAIN_PAIRS,
    SCALED_PAIRS,
    direction,
    dot,
    length,
    mapped,
    minus,
    neighbours,
    of_one,
    plus,
)
from mpmath import mp
from torch import Tensor
from ulps import Row, elementwise_points, slope, vector_points

from evenkeel import ops

INF = math.inf


def arc(x: list, y: list) -> object:
    return 2 * mp.atan2(length(minus(x, y)), length(plus(x, y)))


def on_sphere(x: Tensor) -> Tensor:
    return F.normalize(x, dim=-1)


def in_ball(x: Tensor) -> Tensor:
    return 0.5 * x / (1 + x.norm(dim=-1, keepdim=True))


def poincare(x: list, y: list) -> object:
    room = mp.sqrt(1 - dot(x, x)) * mp.sqrt(1 - dot(y, y))
    return 2 * mp.asinh(length(minus(x, y)) / room)


def naive_poincare(x: Tensor, y: Tensor) -> Tensor:
    room = (1 - x.square().sum(-1)) * (1 - y.square().sum(-1))
    return torch.acosh(1 + 2 * (x - y).square().sum(-1) / room)


def acosh1p(u: object) -> object:
    return mp.inf if u == mp.inf else 2 * mp.asinh(mp.sqrt(u / 2))


def rotations(x: Tensor) -> Tensor:
    """Rows of three numbers as rotation vectors, written as rows of nine."""
    zero = torch.zeros_like(x[..., 0])
    a, b, c = x[..., :3].unbind(-1)
    skew = torch.stack([zero, -c, b, c, zero, -a, -b, a, zero], -1).unflatten(-1, (3, 3))
    return torch.linalg.matrix_exp(skew).flatten(-2)


def of_matrix(function: object) -> object:
    return lambda x: function(x.unflatten(-1, (3, 3)))


def axis(r: list) -> list:
    return [r[7] - r[5], r[2] - r[6], r[3] - r[1]]


def rotation_angle(r: list) -> object:
    return mp.atan2(length(axis(r)) / 2, (r[0] + r[4] + r[8] - 1) / 2)


def quaternion(r: list) -> list:
    a, b, c = axis(r)
    xy, xz, yz = r[1] + r[3], r[2] + r[6], r[5] + r[7]
    rows = [
        [1 + r[0] + r[4] + r[8], a, b, c],
        [a, 1 + r[0] - r[4] - r[8], xy, xz],
        [b, xy, 1 - r[0] + r[4] - r[8], yz],
        [c, xz, yz, 1 - r[0] - r[4] + r[8]],
    ]
    best = max(range(4), key=lambda i: rows[i][i])
    return [v / (2 * mp.sqrt(rows[best][best])) for v in rows[best]]


def log_factor_slope(x: object) -> object:
    if abs(x) < mp.mpf(10) ** -15:
        return x / 6
    return (mp.sin(x) - x * mp.cos(x)) / (2 * mp.sin(x) ** 2)


ROTATIONS = mapped(vector_points(3, spread=1.5, scales=False), rotations)
ROWS = [
    Row(
        "angle, in ulp of 1",
        ops.angle,
        lambda x, y: arc(direction(x), direction(y)),
        neighbours(SCALED_PAIRS),
        2,
        4,
        {"acos(F.cosine_similarity)": lambda x, y: torch.acos(F.cosine_similarity(x, y))},
        unit=of_one,
    ),
    Row(
        "sphere_distance",
        ops.sphere_distance,
        arc,
        mapped(neighbours(PLAIN_PAIRS), on_sphere),
        1,
        4,
        {"acos(sum(x*y))": lambda x, y: torch.acos((x * y).sum(-1))},
    ),
    Row(
        "poincare_distance, inner half",
        ops.poincare_distance,
        poincare,
        mapped(neighbours(PLAIN_PAIRS), in_ball),
        1,
        5,
        {"acosh(1 + ...)": naive_poincare},
    ),
    Row(
        "acosh1p",
        ops.acosh1p,
        acosh1p,
        elementwise_points(0.0, INF),
        1,
        3,
        {"acosh(1+u)": lambda u: torch.acosh(1 + u)},
    ),
    Row(
        "acosh1p slope",
        slope(ops.acosh1p),
        lambda u: mp.zero if u == mp.inf else 1 / mp.sqrt(u * (u + 2)),
        elementwise_points(0.0, INF, without=(0.0,)),
        1,
        4,
        {"acosh(1+u)": slope(lambda u: torch.acosh(1 + u))},
    ),
    Row(
        "acosh",
        ops.acosh,
        lambda x: mp.inf if x == mp.inf else mp.acosh(x),
        elementwise_points(1.0, INF),
        1,
        3,
        {"torch.acosh": torch.acosh},
    ),
    Row("acos", ops.acos, mp.acos, elementwise_points(-1.0, 1.0), 1, 2, {"torch.acos": torch.acos}),
    Row(
        "acos slope",
        slope(ops.acos),
        lambda x: -1 / mp.sqrt((1 - x) * (1 + x)),
        elementwise_points(-1.0, 1.0, without=(-1.0, 1.0)),
        1,
        4,
        {"torch.acos": slope(torch.acos)},
    ),
    Row(
        "atanh",
        ops.atanh,
        lambda x: x * mp.inf if abs(x) == 1 else mp.atanh(x),
        elementwise_points(-1.0, 1.0),
        1,
        3,
        {"torch.atanh": torch.atanh},
    ),
    Row(
        "rotation_log_factor",
        ops.rotation_log_factor,
        lambda x: mp.mpf("0.5") if x == 0 else x / (2 * mp.sin(x)),
        elementwise_points(0.0, 3.0, 1.0),
        1,
        2,
        {"naive x/(2 sin x)": lambda x: x / (2 * torch.sin(x))},
    ),
    Row(
        "rotation_log_factor slope",
        slope(ops.rotation_log_factor),
        log_factor_slope,
        elementwise_points(0.0, 3.0, 1.0),
        1,
        6,
        {"naive x/(2 sin x)": slope(lambda x: x / (2 * torch.sin(x)))},
    ),
    Row(
        "rotation_angle, in ulp of 1",
        of_matrix(ops.rotation_angle),
        rotation_angle,
        ROTATIONS,
        2,
        4,
        {"acos((trace-1)/2)": of_matrix(lambda r: torch.acos((r.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2))},
        unit=of_one,
    ),
    Row(
        "quaternion_of_rotation, in ulp of 1",
        of_matrix(ops.quaternion_of_rotation),
        quaternion,
        ROTATIONS,
        1,
        4,
        {},
        unit=of_one,
    ),
]
