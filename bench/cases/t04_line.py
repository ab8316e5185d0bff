"""Fit a straight line through ten points."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--fixed", action="store_true")
arguments = parser.parse_args()

torch.manual_seed(0)
x = torch.arange(1.0, 11.0)[:, None]
y = 3 * x - 2 + 0.5 * torch.randn(10, 1)


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(1))
        self.offset = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.slope * x + self.offset


model = Line()
rate = 0.02 if arguments.fixed else 0.5
optimizer = torch.optim.SGD(model.parameters(), lr=rate)

for step in range(18):
    prediction = model(x)
    loss = F.mse_loss(prediction, y)  # origin
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step {step} loss {loss.item():.5g}")

print(f"y = {model.slope.item():.3f} x + {model.offset.item():.3f}")
