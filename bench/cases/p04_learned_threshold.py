"""An autoencoder whose units have a learned, non-negative soft threshold."""

import argparse

import torch
from torch import nn


class SoftThreshold(nn.Module):
    def __init__(self, width, fixed):
        super().__init__()
        self.fixed = fixed
        self.t = nn.Parameter(torch.full((width,), 0.05))

    def forward(self, x):
        t = self.t
        if self.fixed:
            small = t * (x / torch.where(t == 0, 1.0, t))
            return torch.where(x >= t, x, small)
        return torch.where(x >= t, x, t * (x / t))  # origin


class Autoencoder(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.encode = nn.Linear(6, 9)
        self.threshold = SoftThreshold(9, fixed)
        self.decode = nn.Linear(9, 6)

    def forward(self, x):
        rates = nn.functional.softplus(self.encode(x))
        return self.decode(self.threshold(rates))


def penalty(model):
    return 0.2 * model.threshold.t.sum()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    model = Autoencoder(parser.parse_args().fixed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.04, momentum=0.5)
    for step in range(15):
        x = torch.randn(16, 6)
        loss = (model(x) - x).square().mean() + penalty(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.threshold.t.clamp_(min=0)
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
