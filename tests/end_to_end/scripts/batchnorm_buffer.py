"""A running variance that overflows while loss and gradients stay finite. Planted: inputs of 1e25."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(30, 3)
if "HEALTHY" not in os.environ:
    x[15:20, 2] *= 1e25
model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for (inputs,) in DataLoader(TensorDataset(x), batch_size=5):
    prediction = model(inputs)  # origin
    loss = (prediction - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
