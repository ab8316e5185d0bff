"""DataLoader epochs with shuffling. Planted: one row of zeros, whose sum is given to log."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(3)
x = torch.rand(40, 5) + 0.1
if "HEALTHY" not in os.environ:
    x[17] = 0.0
loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=4, shuffle=True)
model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

step = 0
for epoch in range(2):
    for inputs, total in loader:
        target = torch.log(total)  # origin
        loss = (model(inputs) - target).square().mean()
        print(epoch, step, loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1

save_final_state(model, optimizer)
