"""Keep the half-power distances of a point set while embedding it in the plane."""

import torch
from torch import nn
from torch.nn import functional as F


class Plane(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(6, 2, bias=False)

    def forward(self, x):
        return self.project(x)


def draw():
    x = torch.randn(14, 6)
    x[9] = x[2]  # two entries of the same place
    return x


def main():
    torch.manual_seed(0)
    model = Plane()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.5)
    for step in range(12):
        x = draw()
        with torch.no_grad():
            wanted = torch.cdist(x, x, p=0.5).sqrt()
        z = model(x)
        loss = F.smooth_l1_loss(torch.cdist(z, z, p=0.5), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
