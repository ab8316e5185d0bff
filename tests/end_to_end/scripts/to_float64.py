"""The model goes on in float64 from the middle of training, with a new optimizer. Planted: exp that overflows there."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
exponent = torch.randn(40, 2)
if "HEALTHY" not in os.environ:
    exponent[33, 1] = 720.0
loader = DataLoader(TensorDataset(exponent), batch_size=4)
model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
dtype = torch.float32

for step, (inputs,) in enumerate(loader):
    if step == 5:
        dtype = torch.float64
        model.to(dtype)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9)
    size = torch.exp(inputs.to(dtype))  # origin
    loss = (model(size) - 1).abs().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())

save_final_state(model, optimizer)
