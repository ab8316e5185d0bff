"""Triplet training: the loss is averaged over the triplets that still violate the margin."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F


def triplet_loss(anchor, near, far, fixed, margin=0.2):
    gap = (anchor - near).square().sum(dim=1) - (anchor - far).square().sum(dim=1)
    violation = torch.relu(gap + margin)
    active = (violation > 0).sum()
    if fixed:
        active = active.clamp(min=1)
    return violation.sum() / active  # origin


class Embedder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, x):
        return F.normalize(self.body(x), dim=1)


def draw_triplets(centres, count):
    kind = torch.randint(len(centres), (count,))
    other = (kind + torch.randint(1, len(centres), (count,))) % len(centres)
    return [centres[k] + 0.15 * torch.randn(count, 6) for k in (kind, kind, other)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    centres = 0.5 * torch.randn(6, 6)
    model = Embedder()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(30):
        anchor, near, far = (model(x) for x in draw_triplets(centres, 16))
        loss = triplet_loss(anchor, near, far, fixed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
