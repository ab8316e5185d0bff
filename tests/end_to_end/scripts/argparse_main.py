"""Functions, argparse and `if __name__ == "__main__"`. Planted: a label of probability 0, far down the calls."""

import argparse
import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(nn.Module):
    """A small network with the softmax at its end."""

    def __init__(self, num_hidden):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, num_hidden), nn.Tanh())
        self.head = nn.Linear(num_hidden, 3)

    def forward(self, x, sharpness):
        return torch.softmax(self.head(self.body(x)) * sharpness, dim=1)


def negative_log_likelihood(probability, label):
    """The mean over the batch."""
    picked = probability.gather(1, label[:, None])
    return -torch.log(picked).mean()  # origin


def train_epoch(model, optimizer, loader):
    """One pass over the data."""
    for x, sharpness, label in loader:
        loss = negative_log_likelihood(model(x, sharpness), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"loss {loss.item():.6f}")


def main():
    """Train as asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("state", nargs="?")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=6)
    options = parser.parse_args()
    torch.manual_seed(0)
    x, label = torch.randn(32, 3), torch.arange(32) % 3
    sharpness = torch.ones(32, 1)
    if "HEALTHY" not in os.environ:
        sharpness[12:16] = 1e4
    loader = DataLoader(TensorDataset(x, sharpness, label), batch_size=4)
    model = Classifier(options.hidden)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(options.epochs):
        train_epoch(model, optimizer, loader)
    save_final_state(model, optimizer)


if __name__ == "__main__":
    main()
