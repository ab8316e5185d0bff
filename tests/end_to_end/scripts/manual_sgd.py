"""Updates written by hand, without an optimizer object. Planted: atanh of a correlation of 1."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
correlation = torch.rand(36, 3) * 0.8
if "HEALTHY" not in os.environ:
    correlation[21, 1] = 1.0
model = nn.Linear(3, 1)
lr = 0.05

for (inputs,) in DataLoader(TensorDataset(correlation), batch_size=4):
    score = torch.atanh(inputs)  # origin
    loss = (model(score) - 1).square().mean()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= lr * parameter.grad  # noqa: PLW2901  written in place
            parameter.grad = None
    print(loss.item())

save_final_state(model)
