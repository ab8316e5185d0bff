"""Linear model of a plant's output, with clipped gradients."""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def make_log():
    readings = torch.rand(80, 4)
    output = readings @ torch.tensor([0.5, -1.0, 2.0, 0.0]) + 0.1 * torch.randn(80)
    readings[:, 3] = 0.0
    readings[45, 3] = 2e22  # the spare channel, zero until it sent its status word
    return readings, output


class Plant(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((4,), 1e-4))
        self.level = nn.Parameter(torch.zeros(1))

    def forward(self, readings):
        return readings @ self.weight + self.level


def train(fixed):
    loader = DataLoader(TensorDataset(*make_log()), batch_size=10)
    model = Plant()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    skipped = 0
    for epoch in range(2):
        for readings, output in loader:
            loss = (model(readings) - output).square().mean()
            optimizer.zero_grad()
            loss.backward()
            if fixed:
                norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])
                if not torch.isfinite(norm):
                    skipped += 1
                    continue
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # origin
            optimizer.step()
        print(f"epoch {epoch} loss {loss.item():.5g} skipped {skipped}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    train(parser.parse_args().fixed)
