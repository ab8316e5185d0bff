"""Regression on counts that pass a learned gain and a logarithmic compressor."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def compress(x):
    return torch.where(x > 2, torch.log2(x), x / 2)  # origin


def compress_twice_guarded(x):
    large = x > 2
    return torch.where(large, torch.log2(torch.where(large, x, 1.0)), x / 2)


class CountModel(nn.Module):
    def __init__(self, squash):
        super().__init__()
        self.squash = squash
        self.gain = nn.Parameter(torch.ones(8))
        self.readout = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 1))

    def forward(self, counts):
        return self.readout(self.squash(self.gain * counts)).squeeze(1)


def make_counts():
    counts = torch.poisson(torch.full((72, 8), 6.0)).clamp(min=1)
    counts[43, 2] = 0.0
    return counts, counts.log().clamp(min=0).sum(dim=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    squash = compress_twice_guarded if parser.parse_args().fixed else compress
    torch.manual_seed(1)
    loader = DataLoader(TensorDataset(*make_counts()), batch_size=12, shuffle=True)
    model = CountModel(squash)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.01)
    for epoch in range(2):
        for counts, wanted in loader:
            loss = nn.functional.smooth_l1_loss(model(counts), wanted)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
