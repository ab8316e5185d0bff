"""Train a depth head on scanned targets with an affine-invariant error."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def make_scans():
    features = torch.randn(64, 10)
    depth = 2 + features[:, :4].tanh() + 0.1 * torch.randn(64, 4)
    depth[37, 2] = torch.nan  # the laser got no echo
    return features, depth


class DepthHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(10, 16), nn.GELU(), nn.Linear(16, 4))

    def forward(self, features):
        return self.body(features)


def depth_loss(predicted, depth):
    error = predicted - depth  # origin
    return error.square().mean()


def depth_loss_valid(predicted, depth):
    valid = torch.isfinite(depth)
    error = predicted - torch.where(valid, depth, 0.0)
    return (error.square() * valid).sum() / valid.sum().clamp(min=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    loss_fn = depth_loss_valid if parser.parse_args().fixed else depth_loss
    torch.manual_seed(0)
    loader = DataLoader(TensorDataset(*make_scans()), batch_size=8, shuffle=True)
    model = DepthHead()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(2):
        for features, depth in loader:
            loss = loss_fn(model(features), depth)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
