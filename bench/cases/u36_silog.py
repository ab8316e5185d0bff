"""Monocular depth with the scale-invariant logarithmic error."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Rooms(Dataset):
    def __init__(self, count):
        self.images = torch.rand(count, 1, 8, 8)
        self.log_depth = self.images.mean(dim=1) + 0.2 * torch.randn(count, 8, 8)
        self.images[26] = 0.0  # lights off, the camera looks at a flat wall
        self.log_depth[26] = -0.5

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], self.log_depth[index]


class DepthNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.second = nn.Conv2d(6, 1, 3, padding=1, bias=False)

    def forward(self, image):
        return self.second(torch.relu(self.first(image)))[:, 0]


def silog(predicted, log_depth, fixed):
    d = (predicted - log_depth).flatten(1)
    if fixed:
        return d.std(dim=1, correction=0).mean()
    variance = d.square().mean(dim=1) - d.mean(dim=1).square()
    return torch.sqrt(variance).mean()  # origin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    loader = DataLoader(Rooms(64), batch_size=8, shuffle=True)
    model = DepthNet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    for epoch in range(2):
        for image, log_depth in loader:
            loss = silog(model(image), log_depth, fixed)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
