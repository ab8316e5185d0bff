"""Place items on a sphere in four dimensions so that they approach their anchors."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F

ITEMS = 24


def arc(x, y):
    return torch.acos((x * y).sum(dim=1))  # origin


def arc_by_chord(x, y):
    chord = torch.linalg.vector_norm(x - y, dim=1)
    return 2 * torch.atan2(chord, torch.linalg.vector_norm(x + y, dim=1))


class SpherePoints(nn.Module):
    def __init__(self):
        super().__init__()
        points = F.normalize(torch.randn(ITEMS, 4), dim=1)
        points[19] = 0.5  # initialised from its anchor
        self.points = nn.Parameter(points)

    def forward(self, item):
        return self.points[item]

    @torch.no_grad()
    def retract(self):
        self.points.copy_(F.normalize(self.points, dim=1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    distance = arc_by_chord if parser.parse_args().fixed else arc
    torch.manual_seed(0)
    anchors = F.normalize(torch.randn(ITEMS, 4), dim=1)
    anchors[19] = 0.5
    model = SpherePoints()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(3):
        for item in torch.arange(ITEMS).split(4):
            loss = distance(model(item), anchors[item]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            model.retract()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
