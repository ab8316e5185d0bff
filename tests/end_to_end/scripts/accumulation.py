"""Gradient accumulation over 4 micro-batches. Planted: the root of a sum that is 0, in the third of step 2."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.rand(48, 3) + 0.5
if "HEALTHY" not in os.environ:
    x[2 * 12 + 2 * 3 + 1] = 0.0  # step 2 begins at row 24, its third micro-batch at row 30
loader = DataLoader(TensorDataset(x), batch_size=3)
model = nn.Linear(3, 4, bias=False)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for i, (inputs,) in enumerate(loader):
    length = torch.sqrt(model(inputs).square().sum(1))  # origin
    loss = (length - 1).square().mean() / 4
    loss.backward()
    print(i, loss.item())
    if (i + 1) % 4 == 0:
        optimizer.step()
        optimizer.zero_grad()

save_final_state(model, optimizer)
