"""Regression on log amounts where amounts of zero and below are a case of their own."""

import torch
from torch import nn


def safe_log(x):
    positive = x > 0
    return torch.where(positive, torch.log(torch.where(positive, x, 1.0)), 0.0)


class AmountModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.ones(6))
        self.out = nn.Sequential(nn.Linear(6, 12), nn.Dropout(0.1), nn.ReLU(), nn.Linear(12, 1))

    def forward(self, amounts):
        return self.out(safe_log(self.rate * amounts)).squeeze(1)


def main():
    torch.manual_seed(0)
    model = AmountModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(12):
        amounts = torch.rand(24, 6) * 10 * (torch.rand(24, 6) < 0.7) - 0.5 * (torch.rand(24, 6) < 0.1)
        wanted = amounts.clamp(min=0).log1p().mean(dim=1)
        loss = nn.functional.l1_loss(model(amounts), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
