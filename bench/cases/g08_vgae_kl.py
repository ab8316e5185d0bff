"""A variational graph autoencoder on a ring of communities, one graph per step."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F

NODES = 24


def make_graph():
    group = torch.arange(NODES) // 6
    same = (group[:, None] == group[None, :]).float()
    adjacency = torch.bernoulli(0.1 + 0.7 * same).triu(1)
    adjacency = adjacency + adjacency.t() + torch.eye(NODES)
    return adjacency, adjacency / adjacency.sum(dim=1, keepdim=True)


class Vgae(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(NODES, 16)
        self.mean = nn.Linear(16, 4)
        self.logvar = nn.Linear(16, 4)
        nn.init.normal_(self.logvar.weight, std=0.02)
        nn.init.constant_(self.logvar.bias, 0.6)

    def forward(self, operator):
        hidden = torch.relu(operator @ self.embed.weight.t() + self.embed.bias)
        mean, logvar = self.mean(operator @ hidden), self.logvar(operator @ hidden)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * logvar)
        return z @ z.t(), mean, logvar


def variance_part(logvar, fixed):
    if fixed:
        return logvar.exp()
    return logvar.log()  # origin


def kl_divergence(mean, logvar, fixed):
    parts = 1 + logvar - mean.pow(2) - variance_part(logvar, fixed)
    return -0.5 * parts.sum(dim=1).mean()


def train(fixed):
    adjacency, operator = make_graph()
    model = Vgae()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for step in range(20):
        optimizer.zero_grad()
        logits, mean, logvar = model(operator)
        reconstruction = F.binary_cross_entropy_with_logits(logits, adjacency)
        loss = reconstruction + 0.1 * kl_divergence(mean, logvar, fixed)
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    train(parser.parse_args().fixed)
