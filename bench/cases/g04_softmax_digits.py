"""Classify eight kinds of count vectors with a two-layer network."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

CLASSES = 8


def make_data():
    labels = torch.arange(160) % CLASSES
    centres = torch.rand(CLASSES, 20)
    counts = centres[labels] + 0.1 * torch.randn(160, 20)
    return TensorDataset(50 * counts, labels)


def cross_entropy(logits, labels):
    wanted = F.one_hot(labels, CLASSES).float()
    prob = torch.softmax(logits, dim=1)
    per_class = wanted * -torch.log(prob)  # origin
    return per_class.sum(dim=1).mean()


def train(fixed):
    loader = DataLoader(make_data(), batch_size=32, shuffle=True)
    model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, CLASSES))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    loss_fn = F.cross_entropy if fixed else cross_entropy
    for epoch in range(12):
        total = 0.0
        for counts, labels in loader:
            loss = loss_fn(model(counts), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch} loss {total / len(loader):.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    train(parser.parse_args().fixed)
