"""An average of the weights written by hand after each step. Planted: log2 of a size of 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
size = torch.rand(36, 2) + 0.5
if "HEALTHY" not in os.environ:
    size[25, 0] = 0.0
model = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1))
average = [parameter.detach().clone() for parameter in model.parameters()]
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

for (inputs,) in DataLoader(TensorDataset(size), batch_size=4):
    octave = torch.log2(inputs)  # origin
    loss = (model(octave) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    for kept, parameter in zip(average, model.parameters(), strict=True):
        kept.data.mul_(0.9).add_(parameter.data, alpha=0.1)
    print(loss.item())

save_final_state(model, nn.ParameterList(average), optimizer)
