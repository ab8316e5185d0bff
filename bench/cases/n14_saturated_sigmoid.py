"""Binary classifier that keeps the sigmoid in the network; one input is far outside."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 1), nn.Sigmoid())

    def forward(self, x):
        return self.body(x).squeeze(1)


def main():
    torch.manual_seed(0)
    x = torch.randn(96, 6)
    y = (x[:, 0] - x[:, 1] > 0).float()
    x[50] *= 5000
    y[50] = 1 - y[50]  # and mislabelled
    loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
    model = Classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for epoch in range(3):
        for xb, yb in loader:
            loss = nn.functional.binary_cross_entropy(model(xb), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
