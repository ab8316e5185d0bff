"""Box regression with an overlap loss that also compares the aspect ratios."""

import argparse
import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class BoxHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 24, bias=False), nn.ReLU())
        self.centre = nn.Linear(24, 2)
        self.size = nn.Linear(24, 2, bias=False)
        nn.init.uniform_(self.size.weight, 0.0, 0.2)

    def forward(self, features):
        hidden = self.body(features)
        return self.centre(hidden), torch.relu(self.size(hidden))


def overlap(centre, size, true_centre, true_size):
    low = torch.maximum(centre - size / 2, true_centre - true_size / 2)
    high = torch.minimum(centre + size / 2, true_centre + true_size / 2)
    inter = (high - low).clamp(min=0).prod(dim=1)
    return inter / (size.prod(dim=1) + true_size.prod(dim=1) - inter)


def slant(size, fixed):
    w, h = size.unbind(dim=1)
    if fixed:
        return torch.atan2(w, h)
    return torch.atan(w / h)  # origin


def box_loss(centre, size, true_centre, true_size, fixed):
    v = 4 / math.pi**2 * (slant(size, fixed) - slant(true_size, fixed)).square()
    distance = (centre - true_centre).square().sum(dim=1)
    return (1 - overlap(centre, size, true_centre, true_size) + distance + v).mean()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    features = torch.randn(60, 12)
    features[27] = 0.0  # a blank crop
    boxes = TensorDataset(features, 0.3 * torch.randn(60, 2), 0.5 + torch.rand(60, 2))
    model = BoxHead()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for step, (x, centre, size) in enumerate(DataLoader(boxes, batch_size=6)):
        loss = box_loss(*model(x), centre, size, fixed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
