"""Sparse coding with a penalty of fractional power; many inputs are exactly zero."""

import torch
from torch import nn


class SparseCoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Linear(8, 12, bias=False)
        self.decode = nn.Linear(12, 8)

    def forward(self, x):
        code = self.encode(x)
        return self.decode(code), code


def draw(step):
    x = torch.randn(24, 8) * (torch.rand(24, 8) < 0.7)
    if step % 3 == 2:
        x[5] = 0.0
    return x


def main():
    torch.manual_seed(0)
    model = SparseCoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(12):
        x = draw(step)
        rebuilt, code = model(x)
        sparsity = torch.linalg.vector_norm(code, ord=0.5, dim=1).mean()
        loss = (rebuilt - x).square().mean() + 1e-4 * sparsity
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
