"""Errors in units in the last place, against mpmath, and the points at which to look for them."""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import mpmath
import torch
from torch import Tensor

DIGITS = 60
LOWEST_EXPONENT = -930  # below, the second part of a number in two floats would be subnormal
SMALLEST = 2.0**LOWEST_EXPONENT
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
Points = Callable[[torch.dtype, int, torch.Generator], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Row:
    """One operation: what it answers, what is exact, and where to ask."""

    name: str
    ours: Callable[..., Tensor]
    exact: Callable[..., object]  # of mpf (scalars) or lists of mpf (rows of vectors); answers an mpf or a list of mpf
    points: Points
    narrow_bound: float  # ulp, in float16 and bfloat16
    wide_bound: float  # ulp, in float32 and float64
    rivals: Mapping[str, Callable[..., Tensor] | None] = field(default_factory=dict)  # None: not installed
    unit: Callable[..., object] | None = None  # what one ulp is an ulp of, from (exact, *arguments); else the result
    growth: Callable[..., object] | None = None  # by what the bound is multiplied, from (exact, *arguments)
    dtypes: tuple[str, ...] = tuple(DTYPES)


@dataclass(frozen=True)
class Worst:
    """The largest error of one function, and the argument that has it."""

    ulp: float
    argument: object


def peer(module: str, name: str) -> Callable[..., Tensor] | None:
    """A function of another project, or None where that is not installed."""
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError:
        return None


def slope(function: Callable[..., Tensor], index: int = 0) -> Callable[..., Tensor]:
    """The derivative of an elementwise function by one of its arguments, as autograd has it."""

    def derivative(*tensors: Tensor) -> Tensor:
        leaves = [t.detach().clone().requires_grad_() for t in tensors]
        return torch.autograd.grad(function(*leaves).sum(), leaves[index])[0]

    return derivative


def ulp(magnitude: mpmath.mpf, dtype: torch.dtype) -> mpmath.mpf:
    """The distance of neighbouring numbers of the dtype at a magnitude."""
    digits, lowest, _ = _layout(dtype)
    if magnitude == 0 or not mpmath.isfinite(magnitude):
        return mpmath.ldexp(1, lowest)
    exponent = mpmath.frexp(magnitude)[1]
    return mpmath.ldexp(1, max(exponent - digits, lowest))


def error(got: float, exact: object, unit: object, dtype: torch.dtype) -> float:
    """How many units a result is off; inf where it is a number that should not be one, or the other way round."""
    want = mpmath.nan if isinstance(exact, mpmath.mpc) else mpmath.mpf(exact)
    if mpmath.isnan(want) or math.isnan(got):
        return 0.0 if mpmath.isnan(want) and math.isnan(got) else math.inf
    step = ulp(abs(mpmath.mpf(unit)), dtype)
    top = mpmath.mpf(torch.finfo(dtype).max)
    if abs(want) >= top + ulp(top, dtype) / 2:
        want = mpmath.sign(want) * (top + ulp(top, dtype))  # the number that inf stands for
    if math.isinf(got):
        got = math.copysign(1, got) * (top + ulp(top, dtype))
    return float(abs(mpmath.mpf(got) - want) / step)


class Target(NamedTuple):
    """One number that an answer is compared with."""

    exact: object
    unit: object
    growth: float
    dtype: torch.dtype
    high: float  # the exact number in two parts, and the size of an ulp, for the differences that floats can hold
    low: float
    step: float  # 0 where they cannot

    def off(self, got: float) -> float:
        """How many times what is allowed an answer is off."""
        if self.step and math.isfinite(got):
            return abs(got - self.high - self.low) / self.step
        return error(got, self.exact, self.unit, self.dtype) / self.growth


def target(exact: object, unit: object, growth: object, dtype: torch.dtype) -> Target:
    """What an answer is compared with; in floats where these are as good, which is nearly everywhere: it is faster."""
    growth = float(growth)
    unit = unit if isinstance(unit, mpmath.mpf) else mpmath.mpf(abs(unit))
    high = float(exact) if isinstance(exact, mpmath.mpf) else 0.0
    digits, lowest, top = _layout(dtype)
    exponent = unit.exp + unit.bc
    if unit.man == 0 or exponent < LOWEST_EXPONENT or not SMALLEST < abs(high) < top / 2:
        return Target(exact, unit, growth, dtype, 0.0, 0.0, 0.0)
    step = math.ldexp(1, max(exponent - digits, lowest))
    return Target(exact, unit, growth, dtype, high, float(exact - high), step * growth)


def worst(row: Row, answers: Mapping[str, Sequence[object]], points: Sequence[tuple], dtype: torch.dtype) -> dict:
    """The worst error of every function that answered."""
    found = {name: Worst(-1.0, None) for name in answers}
    with mpmath.workdps(DIGITS):
        for i, point in enumerate(points):
            targets = _targets(row, [_exactly(a) for a in point], dtype)
            for name, values in answers.items():
                got = values[i] if isinstance(values[i], list) else [values[i]]
                off = max(t.off(v) for t, v in zip(targets, got, strict=True))
                if off > found[name].ulp:
                    found[name] = Worst(off, point[0] if len(point) == 1 else point)
    return found


def _targets(row: Row, arguments: list, dtype: torch.dtype) -> list[Target]:
    exact = row.exact(*arguments)
    unit = exact if row.unit is None else row.unit(exact, *arguments)
    growth = 1 if row.growth is None else row.growth(exact, *arguments)
    if not isinstance(exact, list):
        return [target(exact, unit, growth, dtype)]
    units, growths = (v if isinstance(v, list) else [v] * len(exact) for v in (unit, growth))
    return [target(*each, dtype) for each in zip(exact, units, growths, strict=True)]


def _exactly(argument: object) -> object:
    return [_exactly(a) for a in argument] if isinstance(argument, list) else mpmath.mpf(argument)


@functools.cache
def _layout(dtype: torch.dtype) -> tuple[int, int, float]:
    """Binary digits, the exponent of the smallest number, and the largest number."""
    info = torch.finfo(dtype)
    digits = 1 - round(math.log2(info.eps))
    return digits, round(math.log2(info.smallest_normal)) - digits + 1, info.max


# ------------------------------------------------------------------------------------------------ points


def elementwise_points(low: float, high: float, *near: float, without: tuple[float, ...] = ()) -> Points:
    """One argument between low and high: all there are in 16 bits; else all binades, evenly, and around some points."""

    def points(dtype: torch.dtype, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        x = line(dtype, count, generator, low, high, *near)
        return (x[~torch.isin(x, torch.tensor(without, dtype=dtype))],)

    return points


def pair_points(*ranges: tuple[float, float]) -> Points:
    """Independent arguments, one from each range; each range is drawn from as for `elementwise_points`."""

    def points(dtype: torch.dtype, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        lines = [line(dtype, count, generator, low, high) for low, high in ranges]
        return tuple(x[torch.randint(len(x), (count,), generator=generator)] for x in lines)

    return points


def close_pairs(low: float, high: float, *, descending: bool) -> Points:
    """Two arguments, half of the pairs a few ulp to a few units apart; with `descending`, the first is not smaller."""

    def points(dtype: torch.dtype, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        x = line(dtype, count, generator, low, high)
        a = x[torch.randint(len(x), (count,), generator=generator)]
        near = a.double() * (1 + 2.0 ** -torch.rand(count, generator=generator, dtype=torch.float64).mul(60))
        far = x[torch.randint(len(x), (count,), generator=generator)]
        b = torch.where(torch.rand(count, generator=generator) < 0.5, near.to(dtype), far)
        b = torch.where(b.isinf() & ~far.isinf(), far, b)
        return (torch.maximum(a, b), torch.minimum(a, b)) if descending else (a, b)

    return points


def vector_points(
    length: int, *, arguments: int = 1, spread: float = 1.0, scales: bool = True, mixed: float = 0.0
) -> Points:
    """Rows of numbers of all signs; with `scales`, each row at a magnitude of its own, over most of the dtype's range.

    With `mixed`, each element of a row is smaller by up to so many binades.
    """

    def points(dtype: torch.dtype, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        made = []
        for _ in range(arguments):
            x = spread * torch.randn(max(count, 8), length, generator=generator, dtype=torch.float64)
            if scales:
                _, lowest, top = _layout(dtype)
                reach = math.log2(top) - 4 - lowest
                x = x * 2.0 ** (lowest + reach * torch.rand(len(x), 1, generator=generator, dtype=torch.float64))
            x = x * 2.0 ** (-mixed * torch.rand(x.shape, generator=generator, dtype=torch.float64))
            x[:4] = 0.0
            made.append(x.to(dtype))
        return tuple(made)

    return points


def line(dtype: torch.dtype, count: int, generator: torch.Generator, low: float, high: float, *near: float) -> Tensor:
    """Numbers of a dtype in [low, high], the ends included; `count` of them or more where there are so many."""
    ends = torch.tensor([low, high, 0.0, *near], dtype=dtype)
    if torch.finfo(dtype).bits == 16:
        x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
        if count < len(x) // 8:  # a quick look
            x = torch.cat([x[torch.randint(len(x), (count,), generator=generator)], ends])
        return x[(x >= low) & (x <= high)]
    special = torch.cat([*(_neighbours(e, count // 50, generator) for e in ends), ends])
    drawn = ends[:0]
    while len(drawn) < count:
        more = torch.cat([_binades(dtype, count // 2, generator), _evenly(dtype, count // 2, generator, low, high)])
        drawn = torch.cat([drawn, more[(more >= low) & (more <= high)]])
    return torch.cat([drawn[:count], special[(special >= low) & (special <= high)]])


def _binades(dtype: torch.dtype, count: int, generator: torch.Generator) -> Tensor:
    """Every exponent alike, subnormal ones too: random bits."""
    bits = torch.finfo(dtype).bits
    kind = {32: torch.int32, 64: torch.int64}[bits]
    raw = torch.randint(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, (count,), generator=generator, dtype=torch.int64)
    return raw.to(kind).view(dtype)


def _evenly(dtype: torch.dtype, count: int, generator: torch.Generator, low: float, high: float) -> Tensor:
    """Half of them within 10 of 0, where most functions live."""
    limit = torch.finfo(dtype).max
    share = torch.rand(count, generator=generator, dtype=torch.float64)
    wide = max(low, -limit) / 2 + share * (min(high, limit) / 2 - max(low, -limit) / 2)
    inner = max(low, -10.0) + share * (min(high, 10.0) - max(low, -10.0))
    return torch.where(torch.arange(count) % 4 == 0, wide, inner).to(dtype)


def _neighbours(x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """A few ulp, and small shares, to both sides of a number."""
    if not bool(x.isfinite()):
        return x.reshape(1)
    steps = [x]
    for _ in range(4):
        steps.append(torch.nextafter(steps[-1], torch.full_like(x, math.inf)))
    down = [x]
    for _ in range(4):
        down.append(torch.nextafter(down[-1], torch.full_like(x, -math.inf)))
    shares = 2.0 ** -torch.rand(count, generator=generator, dtype=torch.float64).mul(60)
    around = torch.cat([x.double() + shares, x.double() - shares]).to(x.dtype)
    return torch.cat([torch.stack(steps), torch.stack(down), around])
