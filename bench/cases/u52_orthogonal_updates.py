"""Train with orthogonalised, row-normalised updates that keep the norm of the update."""

import argparse

import torch
from torch import nn


class RowNormalisedMuon(torch.optim.Optimizer):
    def __init__(self, params, lr, momentum, fixed):
        super().__init__(params, {"lr": lr, "momentum": momentum, "fixed": fixed})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["velocity"] = torch.zeros_like(p)
                    state["rows"] = torch.zeros(len(p), 1)
                state["velocity"].mul_(group["momentum"]).add_(p.grad)
                p.sub_(group["lr"] * self.direction(state, group["fixed"]))

    def direction(self, state, fixed):
        u = orthogonalise(state["velocity"])
        state["rows"].lerp_(u.square().mean(dim=1, keepdim=True), 0.05)
        u_new = u / (state["rows"].sqrt() + 1e-8)
        size = u_new.norm()
        if fixed:
            size = size.clamp_min(1e-12)
        return u_new * (u.norm() / size)  # origin


def orthogonalise(x):
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        x = 1.5 * x - 0.5 * x @ x.t() @ x
    return x


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(0)
    first, last = nn.Linear(6, 12, bias=False), nn.Linear(12, 2, bias=False)
    nn.init.zeros_(last.weight)
    model = nn.Sequential(first, nn.Tanh(), last)
    optimizer = RowNormalisedMuon(model.parameters(), lr=0.02, momentum=0.9, fixed=fixed)
    for step in range(8):
        x = torch.randn(32, 6)
        loss = nn.functional.mse_loss(model(x), x[:, :2] * x[:, 2:4])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
