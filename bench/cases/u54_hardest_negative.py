"""Anomaly patches: contrast each patch with the least similar patch of another kind."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def patch_loss(z, kind, fixed, margin=0.5):
    sim = z @ z.t()
    same = kind[:, None] == kind[None, :]
    if fixed:
        negative = (1 - sim).masked_fill(same, -torch.inf).amax(dim=1)
    else:
        negative = (1 - sim.masked_fill(same, -torch.inf)).amax(dim=1)  # origin
    positive = ((1 - sim) * same).sum(dim=1) / same.sum(dim=1)
    return torch.relu(positive - negative + 2 * margin).mean()


class PatchEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 8))

    def forward(self, patch):
        return F.normalize(self.body(patch), dim=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    kind = torch.arange(96) % 4
    patches = torch.randn(4, 16)[kind] + torch.randn(96, 16)
    loader = DataLoader(TensorDataset(patches, kind), batch_size=16, shuffle=True)
    model = PatchEncoder()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for epoch in range(3):
        for patch, kinds in loader:
            loss = patch_loss(model(patch), kinds, fixed)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
