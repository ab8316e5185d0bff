"""Five unlike models. Each makes one number near 1 of a sample of six, and no sample sees another one."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Perceptron(nn.Module):
    """Two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        return near_one(self.layers(x))


class Convolution(nn.Module):
    """A sequence of six under a small filter, pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        return near_one(self.layers(x[:, None]))


class Transformer(nn.Module):
    """Three tokens that attend to one another."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(2, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return near_one(self.layer(self.embed(x.reshape(len(x), 3, 2)))[:, 0])


class Recurrent(nn.Module):
    """Three steps of a gated unit."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(2, 5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return near_one(self.cell(x.reshape(len(x), 3, 2))[0][:, -1])


class Graph(nn.Module):
    """Three nodes in a ring for each sample; messages are gathered and scattered."""

    def __init__(self) -> None:
        super().__init__()
        self.message = nn.Linear(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        nodes = x.reshape(-1, 2)
        source = torch.arange(len(nodes))
        target = source // 3 * 3 + (source + 1) % 3
        messages = torch.relu(self.message(nodes[source]))
        received = messages.new_zeros(len(nodes), 4).index_add(0, target, messages)
        of_sample = messages.new_zeros(len(x), 4).index_add(0, source // 3, received)
        return near_one(of_sample)


MODELS: dict[str, type[nn.Module]] = {
    "perceptron": Perceptron,
    "convolution": Convolution,
    "transformer": Transformer,
    "recurrent": Recurrent,
    "graph": Graph,
}


def near_one(h: Tensor) -> Tensor:
    """One number for each sample, between 0.9 and 1.1."""
    return 1.0 + 0.1 * torch.tanh(h.mean(dim=1))
