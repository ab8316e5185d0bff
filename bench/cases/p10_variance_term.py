"""Self-supervised embedding of sensor windows with a variance term per feature."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def make_windows():
    windows = torch.randn(80, 12)
    windows[48:64] = 0.25  # the sensor was unplugged for a while
    return windows


def deviation(z, fixed):
    if fixed:
        return z.std(dim=0)
    return torch.sqrt(z.var(dim=0))  # origin


def variance_term(z, fixed):
    return torch.relu(1 - deviation(z, fixed)).mean()


class Embedder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 4))

    def forward(self, x):
        return self.body(x)


def train(fixed):
    loader = DataLoader(TensorDataset(make_windows()), batch_size=16)
    model = Embedder()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for epoch in range(2):
        for (windows,) in loader:
            first = model(windows)
            second = model(windows + 0.1 * torch.randn(12))
            agreement = (first - second).square().mean()
            loss = 5 * agreement + variance_term(first, fixed)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    train(parser.parse_args().fixed)
