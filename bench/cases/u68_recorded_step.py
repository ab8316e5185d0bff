"""An optimizer that records its work list at the first call and replays it afterwards."""

import argparse

import torch
from torch import nn


class RecordedSGD(torch.optim.Optimizer):
    def __init__(self, params, lr, fixed):
        super().__init__(params, {"lr": lr})
        self.fixed = fixed
        self.recorded = None

    def work_list(self):
        return [(p, group["lr"]) for group in self.param_groups for p in group["params"] if p.grad is not None]

    @torch.no_grad()
    def step(self):
        if self.recorded is None or self.fixed:
            self.recorded = self.work_list()  # origin
        for p, lr in self.recorded:
            p.sub_(lr * p.grad)


class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, x):
        return self.body(x).squeeze(1)


def warm_up(optimizer):
    """The first call is slow, so it is made before the clock starts."""
    optimizer.zero_grad()
    optimizer.step()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    model = Scorer()
    optimizer = RecordedSGD(model.parameters(), lr=0.1, fixed=fixed)
    warm_up(optimizer)
    for step in range(20):
        x = torch.randn(32, 6)
        wanted = (x[:, 0] * x[:, 1] > 0).float()
        loss = nn.functional.binary_cross_entropy_with_logits(model(x), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
