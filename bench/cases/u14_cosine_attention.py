"""Self-attention on cosine similarities with a learned scale for queries and keys."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

WIDTH = 8


class CosineAttention(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.fixed = fixed
        self.project = nn.Linear(WIDTH, 3 * WIDTH)
        self.scale = nn.Parameter(torch.tensor(0.0 if fixed else 1.0))

    def root(self):
        if self.fixed:
            return torch.exp(0.5 * self.scale)
        return torch.sqrt(self.scale)  # origin

    def forward(self, x):
        q, k, v = self.project(x).chunk(3, dim=-1)
        root = self.root()
        q, k = root * F.normalize(q, dim=-1), root * F.normalize(k, dim=-1)
        weight = torch.softmax(q @ k.transpose(1, 2), dim=-1)
        return x + weight @ v


class Denoiser(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.attention = CosineAttention(fixed)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        return self.out(self.attention(x))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(2)
    clean = torch.randn(80, 5, WIDTH)
    noisy = clean + 0.5 * torch.randn_like(clean)
    clean[34] *= -3000  # an outlier among the targets
    loader = DataLoader(TensorDataset(noisy, clean), batch_size=8)
    model = Denoiser(parser.parse_args().fixed)
    scale = model.attention.scale
    others = [p for p in model.parameters() if p is not scale]
    groups = [{"params": others}, {"params": [scale], "lr": 0.1}]
    optimizer = torch.optim.SGD(groups, lr=0.01)
    for step, (x, wanted) in enumerate(loader):
        loss = F.mse_loss(model(x), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
