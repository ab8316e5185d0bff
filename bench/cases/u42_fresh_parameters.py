"""Graph convolution with learned node embeddings; reproducibility is switched on."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F

torch.use_deterministic_algorithms(mode=True)

NODES, STEPS = 7, 5


class AdaptiveGraphConv(nn.Module):
    def __init__(self, inputs, outputs, fixed):
        super().__init__()
        self.nodes = nn.Parameter(torch.randn(NODES, 3))
        self.weights = nn.Parameter(torch.FloatTensor(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        if fixed:
            nn.init.xavier_uniform_(self.weights)

    def forward(self, x):
        affinity = torch.relu(self.nodes @ self.nodes.t())
        mixed = torch.softmax(affinity, dim=1) @ x
        return mixed @ self.weights + self.bias  # origin


class Forecaster(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.conv = AdaptiveGraphConv(STEPS, 8, fixed)
        self.out = nn.Linear(8, 1)

    def forward(self, x):
        return self.out(torch.tanh(self.conv(x))).squeeze(-1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    model = Forecaster(parser.parse_args().fixed)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(6):
        series = torch.randn(16, NODES, STEPS + 1).cumsum(dim=-1)
        predicted = model(series[..., :STEPS])
        loss = F.l1_loss(predicted, series[..., STEPS])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
