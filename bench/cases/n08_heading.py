"""Predict headings from velocities; standing pedestrians are masked out afterwards."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Velocity(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16, bias=False), nn.Tanh(), nn.Linear(16, 2, bias=False))

    def forward(self, track):
        return self.body(track)


def heading_loss(velocity, heading, moving):
    angle = torch.atan2(velocity[:, 1], velocity[:, 0])
    error = 1 - torch.cos(angle - heading)
    return (error * moving).sum() / moving.sum().clamp(min=1)


def main():
    torch.manual_seed(0)
    track = torch.randn(72, 6)
    moving = (torch.rand(72) < 0.8).float()
    track[moving == 0] = 0.0
    heading = torch.atan2(track[:, 5] - track[:, 1], track[:, 4] - track[:, 0])
    loader = DataLoader(TensorDataset(track, heading, moving), batch_size=12, shuffle=True)
    model = Velocity()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for epoch in range(2):
        for x, angle, weight in loader:
            loss = heading_loss(model(x), angle, weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
