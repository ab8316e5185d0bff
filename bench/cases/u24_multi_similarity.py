"""Metric learning with a multi-similarity loss on plain dot products."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

POSITIVE, NEGATIVE, BASE = 2.0, 40.0, 0.5


def push_apart(similarity, different):
    raised = torch.exp(NEGATIVE * (similarity - BASE))  # origin
    return torch.log(1 + (raised * different).sum(dim=1)) / NEGATIVE


def push_apart_stable(similarity, different):
    s = (NEGATIVE * (similarity - BASE)).masked_fill(~different, -torch.inf)
    return F.softplus(torch.logsumexp(s, dim=1)) / NEGATIVE


def pull_together(similarity, same):
    raised = torch.exp(-POSITIVE * (similarity - BASE))
    return torch.log(1 + (raised * same).sum(dim=1)) / POSITIVE


def train(fixed):
    kind = torch.arange(120) % 4
    x = torch.randn(4, 10)[kind] + 0.4 * torch.randn(120, 10)
    loader = DataLoader(TensorDataset(x, kind), batch_size=24, shuffle=True)
    model = nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 6))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    push = push_apart_stable if fixed else push_apart
    for epoch in range(4):
        for xb, kinds in loader:
            embedding = model(xb)
            similarity = embedding @ embedding.t()
            same = kinds[:, None] == kinds[None, :]
            terms = pull_together(similarity, same) + push(similarity, ~same)
            loss = terms.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    train(parser.parse_args().fixed)
