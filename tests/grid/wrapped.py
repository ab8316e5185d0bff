"""Modules around the models of the grid, which bring what the models themselves do not have."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F


class Taught(nn.Module):
    """A model and a slow copy of it, which no optimizer updates."""

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.student = student
        self.teacher = copy.deepcopy(student)

    def forward(self, x: Tensor) -> Tensor:
        return self.student(x)


class Standardised(nn.Module):
    """A model whose inputs a BatchNorm standardises."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(self.norm(x))


def frozen(model: nn.Module) -> nn.Module:
    """The same with statistics that do not move any more."""
    standardised = Standardised(model)
    standardised.norm.eval()
    return standardised


class Flipping(nn.Module):
    """A model whose output, or the gradient of it, may once be bad: a bit has flipped."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.flips_output = self.flips_gradient = False

    def forward(self, x: Tensor) -> Tensor:
        u = self.model(x)
        u.register_hook(self._slope)
        flips, self.flips_output = self.flips_output, False
        return u * torch.inf if flips else u

    def _slope(self, slope: Tensor) -> Tensor:
        flips, self.flips_gradient = self.flips_gradient, False
        return slope * torch.inf if flips else slope


class Classifier(nn.Module):
    """Log probabilities of two classes, of which the second is scaled by the energy of the sample."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        u = self.model(x).float()
        return F.log_softmax(torch.stack([u, u * x.square().sum(dim=1)], dim=1), dim=1)


class Distance(nn.Module):
    """The output times one feature, without its sign."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return torch.abs(self.model(x).float() * x[:, 3])


def compiled_classifier(model: nn.Module) -> nn.Module:
    """Compiled by a backend whose pass takes log_softmax apart."""
    return _compiled(Classifier(model))


def compiled_distance(model: nn.Module) -> nn.Module:
    """The same backend makes a root of a square of abs: the same number, another slope at 0."""
    return _compiled(Distance(model))


def _compiled(model: nn.Module) -> nn.Module:
    torch.compiler.reset()
    made: nn.Module = torch.compile(model, backend=_backend)
    return made


def _apart(x: Tensor, dim: int, **_: object) -> Tensor:
    """Underflows where log_softmax does not."""
    return torch.log(torch.softmax(x, dim=dim))


def _root_of_square(x: Tensor) -> Tensor:
    """|x|, whose slope at 0 is 0/0."""
    return torch.sqrt(x.square())


_INSTEAD = {F.log_softmax: _apart, torch.abs: _root_of_square}


def _backend(program: fx.GraphModule, _inputs: Sequence[Tensor]) -> Callable[..., object]:
    for node in program.graph.nodes:
        node.target = _INSTEAD.get(node.target, node.target)
    program.recompile()
    return program.forward
