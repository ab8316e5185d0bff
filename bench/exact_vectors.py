"""Arithmetic on rows of numbers, shared by the families of functions of vectors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from mpmath import mp
from torch import Tensor
from ulps import Points, vector_points

Vector = list


def dot(x: Vector, y: Vector) -> object:
    return mp.fdot(x, y)


def length(x: Vector) -> object:
    return mp.sqrt(dot(x, x))


def minus(x: Vector, y: Vector) -> Vector:
    return [a - b for a, b in zip(x, y, strict=True)]


def plus(x: Vector, y: Vector) -> Vector:
    return [a + b for a, b in zip(x, y, strict=True)]


def direction(x: Vector) -> Vector:
    size = length(x)
    return x if size == 0 else [a / size for a in x]


def of_one(*_: object) -> object:
    """Errors that are absolute: in ulp of 1."""
    return mp.one


def neighbours(points: Points, share: float = 0.5) -> Points:
    """The same first arguments, and second ones that lie close to them in a share of the cases."""

    def made(dtype: torch.dtype, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        x, y = points(dtype, count, generator)
        step = 2.0 ** -torch.rand(len(x), 1, generator=generator, dtype=torch.float64).mul(30)
        close = (x.double() + step * x.double().abs().amax(-1, keepdim=True) * y.sign().double()).to(dtype)
        return x, torch.where(torch.rand(len(x), 1, generator=generator) < share, close, y)

    return made


def mapped(points: Points, change: Callable[[Tensor], Tensor]) -> Points:
    """Points that are made from others in float64 and rounded once."""

    def made(dtype: torch.dtype, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        return tuple(change(x).to(dtype) for x in points(torch.float64, count, generator))

    return made


PLAIN = vector_points(8, scales=False)
PLAIN_PAIRS = vector_points(8, arguments=2, scales=False)
SCALED = vector_points(8, spread=0.25)
SCALED_PAIRS = vector_points(8, arguments=2, spread=0.25)
