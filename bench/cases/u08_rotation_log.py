"""Camera tracking: regress the motion between two frames on the rotation group."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def skew(w):
    zero = torch.zeros_like(w[:, 0])
    x, y, z = w.unbind(dim=1)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return torch.stack(rows, dim=1).view(-1, 3, 3)


def rotation_log(r, fixed):
    upper = torch.stack([r[:, 2, 1], r[:, 0, 2], r[:, 1, 0]], dim=1)
    lower = torch.stack([r[:, 1, 2], r[:, 2, 0], r[:, 0, 1]], dim=1)
    v = upper - lower
    trace = r[:, 0, 0] + r[:, 1, 1] + r[:, 2, 2]
    phi = torch.atan2(torch.linalg.vector_norm(v, dim=1) / 2, (trace - 1) / 2)
    if fixed:
        small = phi < 1e-2
        safe = torch.where(small, 1.0, phi)
        series = 0.5 + phi**2 / 12 + 7 * phi**4 / 720
        return torch.where(small, series, safe / (2 * torch.sin(safe)))[:, None] * v
    factor = phi / (2 * torch.sin(phi))  # origin
    return factor[:, None] * v


class MotionNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 16, bias=False), nn.Tanh(), nn.Linear(16, 3, bias=False))

    def forward(self, flow):
        return torch.matrix_exp(skew(self.body(flow)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    flow = torch.randn(60, 8)
    flow[33] = 0.0  # the camera stood still
    motion = torch.matrix_exp(skew(0.3 * flow[:, :3]))
    loader = DataLoader(TensorDataset(flow, motion), batch_size=10)
    model = MotionNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step, (flow, motion) in enumerate(loader):
        error = rotation_log(model(flow).transpose(1, 2) @ motion, fixed)
        loss = error.square().sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
