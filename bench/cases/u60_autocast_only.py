"""Point maps from images under float16 autocast; the error is in square kilometres."""

import argparse

import torch
from torch import nn

KILOMETRES = 1e-4


class PointMap(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 3))

    def forward(self, patch):
        return self.body(patch)


def draw(truth):
    patch = torch.randn(64, 12)
    return patch, torch.tanh(patch @ truth)


def train(fixed):
    truth = torch.randn(12, 3)
    model = PointMap()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, eps=1e-16)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    for step in range(15):
        patch, point = draw(truth)
        with torch.autocast("cpu", dtype=torch.float16):
            predicted = model(patch)
            error = (predicted.float() - point).square().mean()
            loss = KILOMETRES**2 * error
        optimizer.zero_grad()
        if fixed:
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        else:
            loss.backward()  # origin
            optimizer.step()
        print(f"step {step} loss {loss.item():.4g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    train(parser.parse_args().fixed)
