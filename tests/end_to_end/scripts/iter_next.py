"""next() on an iterator that is made anew when it is exhausted. Planted: a target row that is NaN already."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(20, 2)
if "HEALTHY" not in os.environ:
    x[18, 0] = float("nan")
loader = DataLoader(TensorDataset(x), batch_size=4)
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

iterator = iter(loader)
for step in range(12):
    try:
        (inputs,) = next(iterator)
    except StopIteration:
        iterator = iter(loader)
        (inputs,) = next(iterator)
    loss = (model(inputs) - 1).square().mean()  # origin
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())

save_final_state(model, optimizer)
