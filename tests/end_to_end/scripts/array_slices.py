"""Slices of an array after a shuffled permutation, no loader. Planted: a reciprocal of 0 in one row."""

import os

import numpy as np
import torch
from final_state import save_final_state
from torch import nn

torch.manual_seed(0)
rng = np.random.default_rng(5)
x = rng.uniform(0.5, 1.5, (30, 2)).astype(np.float32)
if "HEALTHY" not in os.environ:
    x[11, 1] = 0.0
model = nn.Linear(2, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

for _epoch in range(2):
    order = torch.randperm(len(x))
    for start in range(0, len(x), 5):
        inputs = torch.from_numpy(x)[order[start : start + 5]]
        period = torch.reciprocal(inputs)  # origin
        loss = (model(period) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(start, loss.item())

save_final_state(model, optimizer)
