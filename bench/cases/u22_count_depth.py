"""Negative binomial regression of sequencing counts with a learned dispersion."""

import argparse

import torch
from torch import nn


def log_gamma_ratio(x, theta):
    return torch.lgamma(x + theta) - torch.lgamma(theta)  # origin


def log_gamma_ratio_stirling(x, theta):
    y = x + theta
    main = x * torch.log(theta) + (y - 0.5) * torch.log1p(x / theta) - x
    return main + 1 / (12 * y) - 1 / (12 * theta)


class CountModel(nn.Module):
    def __init__(self, genes, ratio):
        super().__init__()
        self.ratio = ratio
        self.log_mean = nn.Linear(4, genes)
        self.log_theta = nn.Parameter(torch.full((genes,), 18.4))

    def forward(self, design, counts):
        log_mean, theta = self.log_mean(design), self.log_theta.exp()
        log_total = torch.logaddexp(log_mean, self.log_theta)
        chance = self.ratio(counts, theta) - torch.lgamma(counts + 1)
        chance = chance - theta * torch.log1p(log_mean.exp() / theta)
        return chance + counts * (log_mean - log_total)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    design = torch.randn(64, 4)
    counts = torch.poisson(torch.exp(0.5 * design @ torch.randn(4, 12) + 1.5))
    model = CountModel(12, log_gamma_ratio_stirling if fixed else log_gamma_ratio)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for step in range(20):
        loss = -model(design, counts).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
