"""Variational encoder of proteins; the noise is switched on after a warm-up."""

import argparse
import itertools

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

WARM_UP = 8


class Encoder(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.fixed = fixed
        self.body = nn.Linear(9, 12)
        self.mean = nn.Linear(12, 2)
        self.logstd = nn.Linear(12, 2)

    def forward(self, x, amount):
        hidden = torch.nn.functional.leaky_relu(self.body(x))
        mean, logstd = self.mean(hidden), self.logstd(hidden)
        if self.fixed:
            logstd = 8 * torch.tanh(logstd / 8)
        noise = amount * torch.randn_like(mean)
        return mean + noise * torch.exp(logstd)  # origin


class Autoencoder(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.encoder = Encoder(fixed)
        self.decoder = nn.Sequential(nn.Linear(2, 12), nn.Tanh(), nn.Linear(12, 9))

    def forward(self, x, amount):
        return self.decoder(self.encoder(x, amount))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    proteins = torch.randn(80, 9)
    proteins[25] = -4000 * proteins[25].abs()  # mass in dalton, not in kilodalton
    loader = DataLoader(TensorDataset(proteins), batch_size=10, shuffle=True)
    batches = itertools.chain(loader, loader)
    model = Autoencoder(parser.parse_args().fixed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, nesterov=True)
    for step in range(12):
        (x,) = next(batches)
        amount = 0.0 if step < WARM_UP else 1.0
        loss = torch.nn.functional.smooth_l1_loss(model(x, amount), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
