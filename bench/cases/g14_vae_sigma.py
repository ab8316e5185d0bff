"""A small variational autoencoder on gene profiles, minibatches in file order."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Vae(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.fixed = fixed
        self.encode = nn.Sequential(nn.Linear(10, 16), nn.LeakyReLU())
        self.mean = nn.Linear(16, 1)
        self.logvar = nn.Linear(16, 1)
        self.decode = nn.Linear(1, 10)

    def sigma(self, logvar):
        if self.fixed:
            return torch.exp(0.5 * logvar)
        return torch.sqrt(torch.exp(logvar))  # origin

    def forward(self, x):
        hidden = self.encode(x)
        mean, logvar = self.mean(hidden), self.logvar(hidden)
        z = mean + self.sigma(logvar) * torch.randn_like(mean)
        return self.decode(z), mean, logvar


def negative_elbo(x, decoded, mean, logvar):
    error = (decoded - x).abs().sum(dim=1)
    kl = -0.5 * (1 + logvar - mean.pow(2) - logvar.exp()).sum(dim=1)
    return (error + kl).mean()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    model = Vae(parser.parse_args().fixed)
    profiles = torch.randn(64, 10)
    profiles[28] *= -1500  # a cell with raw counts instead of log counts
    loader = DataLoader(TensorDataset(profiles), batch_size=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(2):
        for (x,) in loader:
            loss = negative_elbo(x, *model(x))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
