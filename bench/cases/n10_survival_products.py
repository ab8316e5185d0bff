"""Discrete survival curves as running products of the chances to stay."""

import torch
from torch import nn

PERIODS = 6


class StayModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, PERIODS))

    def forward(self, customer, closed):
        stay = torch.sigmoid(self.body(customer))
        return stay * (1 - closed)


def main():
    torch.manual_seed(0)
    model = StayModel()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=3e-3)
    for step in range(12):
        customer = torch.randn(20, 5)
        closed = (torch.rand(20, PERIODS) < 0.1).float()  # contracts that ended for certain
        survived = (torch.rand(20, PERIODS).cumsum(dim=1) < 2).float()
        stay = model(customer, closed)
        curve, whole = torch.cumprod(stay, dim=1), torch.prod(stay, dim=1)
        loss = (curve - survived).square().mean() + (whole - survived[:, -1]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
