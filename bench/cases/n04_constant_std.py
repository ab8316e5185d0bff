"""Contrast of image patches as a feature; some patches are flat."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class ContrastNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(16))
        self.body = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, patch):
        scaled = patch * self.gain.mean()
        features = torch.stack([scaled.mean(dim=1), scaled.std(dim=1)], dim=1)
        return self.body(features).squeeze(1)


def main():
    torch.manual_seed(0)
    patches = torch.rand(80, 16)
    patches[::10] = 0.5
    wanted = patches.amax(dim=1) - patches.amin(dim=1)
    loader = DataLoader(TensorDataset(patches, wanted), batch_size=10, shuffle=True)
    model = ContrastNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(2):
        for x, y in loader:
            loss = nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
