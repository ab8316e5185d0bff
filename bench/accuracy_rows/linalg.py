"""Functions of symmetric matrices."""

from __future__ import annotations

import torch
from exact_vectors import mapped, of_one
from mpmath import mp
from torch import Tensor
from ulps import Row, vector_points

from evenkeel import ops

SIZE = 4


def definite(x: Tensor) -> Tensor:
    a = x.unflatten(-1, (SIZE, SIZE))
    return (a @ a.mT / SIZE + torch.eye(SIZE, dtype=x.dtype)).flatten(-2)


def matrix(x: Tensor) -> Tensor:
    return x.unflatten(-1, (SIZE, SIZE))


def symmetric(x: list) -> object:
    """The matrix of which the lower triangle is read."""
    rows = range(SIZE)
    return mp.matrix([[x[max(i, j) * SIZE + min(i, j)] for j in rows] for i in rows])


def condition(_exact: object, x: list) -> object:
    values = torch.linalg.eigvalsh(matrix(torch.tensor([float(v) for v in x], dtype=torch.float64)))
    return mp.mpf((values[-1] / values[0]).item())


ROWS = [
    Row(
        "log_determinant / condition number, in ulp of 1",
        lambda x: ops.log_determinant(matrix(x)),
        lambda x: mp.log(mp.det(symmetric(x))),
        mapped(vector_points(SIZE * SIZE, scales=False), definite),
        4,
        4,
        {
            "log(torch.det)": lambda x: torch.log(torch.det(matrix(x))),
            "torch.logdet": lambda x: torch.logdet(matrix(x)),
        },
        unit=of_one,
        growth=condition,
    ),
]
