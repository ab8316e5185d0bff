"""Roots, norms, directions and distances."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from exact_vectors import PLAIN_PAIRS, SCALED, SCALED_PAIRS, direction, dot, length, mapped, minus, neighbours, of_one
from mpmath import mp
from torch import Tensor
from ulps import Row, elementwise_points, peer, slope, vector_points

from evenkeel import ops

INF = math.inf
POINTS = 4  # in each of two sets


def as_points(x: Tensor) -> Tensor:
    return x.unflatten(-1, (POINTS, -1))


def all_pairs(function: object) -> object:
    """A function of two sets of points, for sets written as rows."""
    return function and (lambda x, y: function(as_points(x), as_points(y)).flatten(-2))


def exact_pairs(x: list, y: list) -> list:
    width = len(x) // POINTS
    a, b = ([v[i : i + width] for i in range(0, len(v), width)] for v in (x, y))
    return [length(minus(p, q)) for p in a for q in b]


def one_by_one(function: object) -> object:
    """Peers that take one set of points at a time."""
    return function and (lambda x, y: torch.stack([function(p, q) for p, q in zip(x, y, strict=True)]))


ROWS = [
    Row("sqrt", ops.sqrt, mp.sqrt, elementwise_points(0.0, INF), 1, 1, {"torch.sqrt": torch.sqrt}),
    Row(
        "sqrt slope",
        slope(ops.sqrt),
        lambda x: mp.zero if x == mp.inf else 1 / (2 * mp.sqrt(x)),
        elementwise_points(0.0, INF, without=(0.0,)),
        1,
        3,
        {"torch.sqrt": slope(torch.sqrt)},
    ),
    Row(
        "rsqrt",
        ops.rsqrt,
        lambda x: mp.zero if x == mp.inf else 1 / mp.sqrt(x),
        elementwise_points(0.0, INF, without=(0.0,)),
        1,
        2,
        {"torch.rsqrt": torch.rsqrt},
    ),
    Row(
        "norm",
        ops.norm,
        length,
        SCALED,
        1,
        2,
        {
            "naive sqrt(sum(x²))": lambda x: x.square().sum(-1).sqrt(),
            "torch.linalg.vector_norm": lambda x: torch.linalg.vector_norm(x, dim=-1),
        },
    ),
    Row(
        "norm slope",
        slope(ops.norm),
        direction,
        SCALED,
        1,
        3,
        {
            "naive sqrt(sum(x²))": slope(lambda x: x.square().sum(-1).sqrt()),
            "torch.linalg.vector_norm": slope(lambda x: torch.linalg.vector_norm(x, dim=-1)),
        },
    ),
    Row(
        "normalise",
        ops.normalise,
        direction,
        SCALED,
        1,
        3,
        {
            "naive x/norm": lambda x: x / x.square().sum(-1, keepdim=True).sqrt(),
            "F.normalize": lambda x: F.normalize(x, dim=-1),
            "LPIPS' formula": lambda x: x / (x.square().sum(-1, keepdim=True).sqrt() + 1e-10),
            "MONAI": peer("monai.losses.perceptual", "normalize_tensor"),
        },
    ),
    Row(
        "normalise, elements of mixed scales",
        ops.normalise,
        direction,
        vector_points(8, spread=0.25, mixed=300.0),
        1,
        3,
        {
            "naive x/norm": lambda x: x / x.square().sum(-1, keepdim=True).sqrt(),
            "F.normalize": lambda x: F.normalize(x, dim=-1),
        },
    ),
    Row(
        "cosine_similarity, in ulp of 1",
        ops.cosine_similarity,
        lambda x, y: dot(direction(x), direction(y)),
        SCALED_PAIRS,
        2,
        4,
        {"F.cosine_similarity": F.cosine_similarity},
        unit=of_one,
    ),
    Row(
        "distance",
        ops.distance,
        lambda x, y: length(minus(x, y)),
        neighbours(SCALED_PAIRS),
        1,
        3,
        {
            "naive sqrt(sum((x-y)²))": lambda x, y: (x - y).square().sum(-1).sqrt(),
            "F.pairwise_distance": F.pairwise_distance,
        },
    ),
    Row(
        "pairwise_distances, 100 from the origin",
        all_pairs(ops.pairwise_distances),
        exact_pairs,
        mapped(vector_points(8, arguments=2, scales=False), lambda x: 100 + x),
        1,
        3,
        {
            "torch.cdist (products)": all_pairs(
                lambda x, y: torch.cdist(x, y, compute_mode="use_mm_for_euclid_dist"),
            ),
            "torchmetrics": all_pairs(one_by_one(peer("torchmetrics.functional", "pairwise_euclidean_distance"))),
        },
    ),
    Row(
        "cosine_similarity of plain vectors, in ulp of 1",
        ops.cosine_similarity,
        lambda x, y: dot(direction(x), direction(y)),
        neighbours(PLAIN_PAIRS),
        2,
        4,
        {"F.cosine_similarity": F.cosine_similarity},
        unit=of_one,
    ),
]
