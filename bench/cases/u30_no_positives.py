"""A detector with a class score per cell and a box loss over the cells with an object."""

import argparse

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 16), nn.ReLU())
        self.score = nn.Linear(16, 1)
        self.box = nn.Linear(16, 4)

    def forward(self, cells):
        hidden = self.body(cells)
        return self.score(hidden).squeeze(-1), self.box(hidden)


def box_loss(box, wanted, positive, fixed):
    error = F.smooth_l1_loss(box, wanted, reduction="none").sum(dim=-1)
    if fixed:
        return error[positive].sum() / positive.sum().clamp(min=1)
    return error[positive].mean()  # origin


def make_images(count):
    cells = torch.randn(count, 9, 8)
    positive = torch.rand(count, 9) < 0.2
    positive[:, 4] = True
    positive[36:40] = False  # four images without an object
    return cells, positive, torch.randn(count, 9, 4)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    loader = DataLoader(TensorDataset(*make_images(56)), batch_size=4)
    model = Detector()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    for step, (cells, positive, wanted) in enumerate(loader):
        score, box = model(cells)
        objectness = F.binary_cross_entropy_with_logits(score, positive.float())
        loss = objectness + box_loss(box, wanted, positive, fixed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
