"""Formulas as people write them, with operands for which they are healthy and others for which they fail."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from evenkeel.core.place import Place

Naive = Callable[..., Tensor]
Drawn = Callable[[torch.Generator], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Formula:
    """What a form replaces. In the lines of a longer one the origin is marked."""

    form: str
    naive: Naive
    regular: Drawn  # operands, in float64, for which value and slope are finite
    edge: tuple[Tensor, ...]  # operands for which one of them is not
    has_text: bool = True  # the form can be written in the place of the formula
    at_bound: bool = False  # the edge lies at the bound of a clamp

    @property
    def place(self) -> Place:
        """The line of the origin."""
        code = (self.naive.forward if isinstance(self.naive, nn.Module) else self.naive).__code__
        lines = range(code.co_firstlineno, code.co_firstlineno + 12)
        marked = [n for n in lines if linecache.getline(code.co_filename, n).rstrip().endswith("# origin")]
        line = code.co_firstlineno if code.co_name == "<lambda>" else marked[0]
        return Place(file=code.co_filename, line=line, scope=code.co_name, source="")


def slope_of_clamp_at_its_bound() -> float:
    """1 until torch 2.14, 0 since: there nothing behind a clamp fails at its bound."""
    bound = torch.ones((), requires_grad=True)
    return float(torch.autograd.grad(bound.clamp(-1, 1), bound)[0])


def skip_where_healthy(formula: Formula) -> None:
    """Leave a test out that is about a failure which this torch does not have."""
    if formula.at_bound and slope_of_clamp_at_its_bound() == 0:
        pytest.skip("the clamp of this torch has a slope of 0 at its bound, so the formula does not fail there")


def normal(*shapes: tuple[int, ...], scale: float = 1.0) -> Drawn:
    """Normal numbers."""
    return lambda g: tuple(scale * torch.randn(s, generator=g, dtype=torch.float64) for s in shapes)


def between(low: float, high: float, *shapes: tuple[int, ...]) -> Drawn:
    """Uniform numbers."""
    return lambda g: tuple(low + (high - low) * torch.rand(s, generator=g, dtype=torch.float64) for s in shapes)


def t(*values: object) -> tuple[Tensor, ...]:
    """One tensor of float64."""
    return (torch.tensor(values, dtype=torch.float64),)


def pair(a: object, b: object) -> tuple[Tensor, ...]:
    """Two tensors of float64."""
    return torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)


def by_row(scale: float = 1.0) -> Drawn:
    """Two rows of three normal numbers."""
    return normal((2, 3), scale=scale)
