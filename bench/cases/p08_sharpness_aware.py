"""Sharpness-aware training of a margin classifier: climb a little, then descend."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def unit(g, fixed):
    n = g.norm()
    if fixed:
        n = torch.where(n > 0, n, torch.ones_like(n))
    return g / n  # origin


def margin_loss(score, y):
    wrong = score.scatter(1, y[:, None], -torch.inf).amax(dim=1)
    right = score.gather(1, y[:, None]).squeeze(1)
    return torch.relu(1 - right + wrong).mean()


@torch.no_grad()
def climb(parameters, radius, fixed):
    moves = []
    for p in parameters:
        move = radius * unit(p.grad, fixed)
        p.add_(move)
        moves.append(move)
    return moves


@torch.no_grad()
def descend_from(parameters, moves):
    for p, move in zip(parameters, moves, strict=True):
        p.sub_(move)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    y = torch.arange(96) % 3
    x = 3 * F.one_hot(y, 6).float() + 0.3 * torch.randn(96, 6)
    loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
    model = nn.Linear(6, 3)
    parameters = list(model.parameters())
    optimizer = torch.optim.SGD(parameters, lr=0.2)
    for epoch in range(4):
        for xb, yb in loader:
            optimizer.zero_grad()
            margin_loss(model(xb), yb).backward()
            moves = climb(parameters, 0.05, fixed)
            optimizer.zero_grad()
            loss = margin_loss(model(xb), yb)
            loss.backward()
            descend_from(parameters, moves)
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
