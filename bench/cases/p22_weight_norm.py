"""A residual branch that starts as zero, with weight normalisation on its last layer."""

import argparse

import torch
from torch import nn
from torch.nn.utils import parametrizations


def last_layer(width, fixed):
    layer = nn.Linear(width, width)
    nn.init.zeros_(layer.bias)
    if fixed:
        layer = parametrizations.weight_norm(layer)
        nn.init.zeros_(layer.parametrizations.weight.original0)
        return layer
    nn.init.zeros_(layer.weight)
    return parametrizations.weight_norm(layer)


class ResidualBlock(nn.Module):
    def __init__(self, width, fixed):
        super().__init__()
        self.first = nn.Linear(width, width)
        self.last = last_layer(width, fixed)

    def forward(self, x):
        hidden = torch.relu(self.first(x))
        return x + self.last(hidden)  # origin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    block = ResidualBlock(6, parser.parse_args().fixed)
    model = nn.Sequential(block, nn.Linear(6, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(6):
        x = torch.randn(20, 6)
        wanted = x.prod(dim=1, keepdim=True)
        loss = nn.functional.huber_loss(model(x), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
