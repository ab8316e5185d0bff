"""Five unlike models that apply one line again and again, as often as `num_repetitions` says."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Bound = Callable[[Tensor], Tensor]
FEW_REPETITIONS = 3


class Repeated(nn.Module):
    """A map with a factor, and what bounds its result (nothing, or a sine)."""

    def __init__(self, size: int, factor: float, bound: Bound) -> None:
        super().__init__()
        self.shared = nn.Linear(size, size, bias=False)
        self.bound = bound
        self.num_repetitions = FEW_REPETITIONS
        with torch.no_grad():
            self.shared.weight.copy_(factor * torch.eye(size))


class SharedLayers(Repeated):
    """A deep perceptron whose layers share their weights."""

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for _ in range(self.num_repetitions):
            h = self.bound(self.shared(h))
        return h


class SharedFilters(nn.Module):
    """A deep convolution whose layers share their filter."""

    def __init__(self, _size: int, factor: float, bound: Bound) -> None:
        super().__init__()
        self.shared = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.bound = bound
        self.num_repetitions = FEW_REPETITIONS
        with torch.no_grad():
            nn.init.dirac_(self.shared.weight).mul_(factor)

    def forward(self, x: Tensor) -> Tensor:
        h = x[:, None]
        for _ in range(self.num_repetitions):
            h = self.bound(self.shared(h))
        return h[:, 0]


class SharedAttention(Repeated):
    """Three tokens that attend to one another in each of the layers, by weights that depend on the sample alone."""

    def forward(self, x: Tensor) -> Tensor:
        h = x.reshape(len(x), -1, self.shared.in_features)
        attention = torch.softmax(h @ h.mT, dim=-1).detach()
        for _ in range(self.num_repetitions):
            h = self.bound(self.shared(attention @ h))
        return h.flatten(1)


class PlainCell(Repeated):
    """A recurrent cell without gates, with the same input at each step."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros_like(x)
        for _ in range(self.num_repetitions):
            h = self.bound(x + self.shared(h))
        return h


class SharedMessages(Repeated):
    """Rounds of messages in a ring of three nodes, which nothing normalises."""

    def forward(self, x: Tensor) -> Tensor:
        h = x.reshape(-1, self.shared.in_features)
        source = torch.arange(len(h))
        target = source // 3 * 3 + (source + 1) % 3
        for _ in range(self.num_repetitions):
            sent = self.shared(h)
            h = self.bound(torch.zeros_like(sent).index_add(0, target, sent))
        return h.reshape(len(x), -1)


def growing(make: Callable[[int, float, Bound], nn.Module], size: int) -> Callable[[], nn.Module]:
    """The state grows 10 times with each repetition."""
    return lambda: make(size, 10.0, nn.Identity())


def steep(make: Callable[[int, float, Bound], nn.Module], size: int) -> Callable[[], nn.Module]:
    """A sine keeps the state below 1; the gradient grows."""
    return lambda: make(size, 100.0, torch.sin)


MAPS: dict[str, tuple[Callable[[int, float, Bound], nn.Module], int]] = {
    "perceptron": (SharedLayers, 6),
    "convolution": (SharedFilters, 1),
    "transformer": (SharedAttention, 2),
    "recurrent": (PlainCell, 6),
    "graph": (SharedMessages, 2),
}
GROWING = {name: growing(make, size) for name, (make, size) in MAPS.items()}
STEEP = {name: steep(make, size) for name, (make, size) in MAPS.items()}
