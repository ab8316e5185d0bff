"""Classifier whose dropout is annealed: fewer units are kept in each stage."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

KEEP = [1.0, 0.75, 0.5, 0.25, 0.0]


def drop_units(x, keep_prob):
    kept = (torch.rand_like(x) < keep_prob).float()
    return x * kept / keep_prob  # origin


class Classifier(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.fixed = fixed
        self.hidden = nn.Linear(12, 24)
        self.out = nn.Linear(24, 3)

    def forward(self, x, keep_prob):
        hidden = torch.relu(self.hidden(x))
        if self.fixed:
            logits = self.out(F.dropout(hidden, p=1 - keep_prob))
            return F.log_softmax(logits, dim=1)
        logits = self.out(drop_units(hidden, keep_prob))
        return torch.log(torch.softmax(logits, dim=1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    x = torch.randn(60, 12)
    y = (x[:, 0] + x[:, 1] > 0).long() + (x[:, 2] > 1).long()
    loader = DataLoader(TensorDataset(x, y), batch_size=20, shuffle=True)
    model = Classifier(parser.parse_args().fixed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for stage, keep_prob in enumerate(KEEP):
        for xb, yb in loader:
            loss = F.nll_loss(model(xb, keep_prob), yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"stage {stage} keep {keep_prob} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
