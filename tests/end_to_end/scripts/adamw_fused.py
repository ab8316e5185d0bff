"""AdamW with fused=True. Planted: a column that is constant in one batch is divided by its range."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.rand(40, 3)
if "HEALTHY" not in os.environ:
    x[25:30, 1] = 0.25
model = nn.Linear(3, 1)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)


def scaled(batch):
    """Each column from 0 to 1."""
    low, high = batch.amin(0), batch.amax(0)
    return (batch - low) / (high - low)  # origin


for (inputs,) in DataLoader(TensorDataset(x), batch_size=5):
    loss = (model(scaled(inputs)) - 1).square().mean()
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
