"""Energy model whose units pass a rectifier and then a square root."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class RootUnits(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.second = nn.Linear(16, 1)

    def forward(self, x):
        energy = torch.sqrt(torch.relu(self.first(x)))
        return self.second(energy).squeeze(1)


def main():
    torch.manual_seed(0)
    x = torch.randn(80, 8)
    y = x.square().mean(dim=1).sqrt()
    loader = DataLoader(TensorDataset(x, y), batch_size=16)
    model = RootUnits()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    for epoch in range(8):
        optimizer.zero_grad()
        for xb, yb in loader:
            loss = nn.functional.mse_loss(model(xb), yb) / len(loader)
            loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
