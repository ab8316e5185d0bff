"""Gradients that are set to 0 and kept, at the end of the step. Planted: a hyperbolic distance of 0, acosh at 1."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.rand(30, 2) + 0.2
if "HEALTHY" not in os.environ:
    x[23] = 0.0  # the point that all distances are measured from
model = nn.Linear(2, 2, bias=False)
scale = nn.Linear(1, 1)
optimizer = torch.optim.RMSprop([*model.parameters(), *scale.parameters()], lr=0.01)

for (inputs,) in DataLoader(TensorDataset(x), batch_size=5):
    squared = model(inputs).square().sum(1, keepdim=True)
    distance = torch.acosh(1 + 2 * squared)  # origin
    loss = (scale(distance) - 1).square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    print(loss.item())

save_final_state(model, scale, optimizer)
