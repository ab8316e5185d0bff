"""Learn the axis of a turn whose angle is measured; attitudes are compared as quaternions."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F


def rotation(axis, angle):
    x, y, z = F.normalize(axis, dim=1).unbind(dim=1)
    c, s = torch.cos(angle), torch.sin(angle)
    d = 1 - c
    row1 = torch.stack([c + d * x * x, d * x * y - s * z, d * x * z + s * y], dim=1)
    row2 = torch.stack([d * x * y + s * z, c + d * y * y, d * y * z - s * x], dim=1)
    row3 = torch.stack([d * x * z - s * y, d * y * z + s * x, c + d * z * z], dim=1)
    return torch.stack([row1, row2, row3], dim=1)


def quaternion(r):
    trace = r[:, 0, 0] + r[:, 1, 1] + r[:, 2, 2]
    w = torch.sqrt(trace + 1) / 2  # origin
    x = (r[:, 2, 1] - r[:, 1, 2]) / (4 * w)
    y = (r[:, 0, 2] - r[:, 2, 0]) / (4 * w)
    z = (r[:, 1, 0] - r[:, 0, 1]) / (4 * w)
    return torch.stack([w, x, y, z], dim=1)


def quaternion_by_largest(r):
    a, b, c = r[:, 0, 0], r[:, 1, 1], r[:, 2, 2]
    squares = torch.stack([1 + a + b + c, 1 + a - b - c, 1 + b - a - c, 1 + c - a - b], dim=1)
    dx, sx = r[:, 2, 1] - r[:, 1, 2], r[:, 2, 1] + r[:, 1, 2]
    dy, sy = r[:, 0, 2] - r[:, 2, 0], r[:, 0, 2] + r[:, 2, 0]
    dz, sz = r[:, 1, 0] - r[:, 0, 1], r[:, 1, 0] + r[:, 0, 1]
    w, x, y, z = squares.unbind(dim=1)
    columns = [[w, dx, dy, dz], [dx, x, sz, sy], [dy, sz, y, sx], [dz, sy, sx, z]]
    table = torch.stack([torch.stack(column, dim=1) for column in columns], dim=1)
    rows, best = torch.arange(len(r)), squares.argmax(dim=1)
    return table[rows, best] / (2 * torch.sqrt(squares[rows, best]))[:, None]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    to_quaternion = quaternion_by_largest if parser.parse_args().fixed else quaternion
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(8):
        reading = torch.randn(32, 5)
        turn = torch.rand(32) if step != 3 else torch.full((32,), torch.pi)  # a half turn
        axis = F.normalize(reading[:, :3], dim=1)
        wanted = torch.cat([torch.cos(turn / 2)[:, None], torch.sin(turn / 2)[:, None] * axis], dim=1)
        q = to_quaternion(rotation(model(reading), turn))
        loss = (1 - (q * wanted).sum(dim=1).square()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
