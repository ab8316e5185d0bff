"""Run by `-m`, with relative imports. Planted: a deviation of 0 under the log, in another file of the package."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from .losses import kl_to_standard_normal


def main():
    """Train."""
    torch.manual_seed(0)
    deviation = torch.rand(24, 2) + 0.5
    if "HEALTHY" not in os.environ:
        deviation[10] = 0.0
    loader = DataLoader(TensorDataset(torch.randn(24, 2), deviation), batch_size=4)
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for x, width in loader:
        loss = kl_to_standard_normal(model(x), width * model.bias.exp()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item())
    save_final_state(model, optimizer)


if __name__ == "__main__":
    main()
