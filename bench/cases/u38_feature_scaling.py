"""Regression on features that the network rescales to [0, 1] batch by batch."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def rescale(x, fixed):
    low, high = x.amin(dim=0), x.amax(dim=0)
    span = high - low
    if fixed:
        span = torch.where(span > 0, span, 1.0)
    return (x - low) / span  # origin


class Regressor(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.fixed = fixed
        self.body = nn.Sequential(nn.Linear(5, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 1))

    def forward(self, x):
        return self.body(rescale(x, self.fixed)).squeeze(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    x = torch.randn(99, 5)
    x[44:55, 3] = 21.0  # the thermostat held this one steady
    y = torch.sin(x[:, 0]) + 0.1 * torch.randn(99)
    model = Regressor(parser.parse_args().fixed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.95)
    for step, (xb, yb) in enumerate(DataLoader(TensorDataset(x, y), batch_size=11)):
        loss = nn.functional.mse_loss(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
