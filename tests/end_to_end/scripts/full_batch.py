"""A full-batch loop. Planted: a step so large that the weight jumps over the wall of its log barrier."""

import os

import torch
from final_state import save_final_state
from torch import nn

torch.manual_seed(0)
x = torch.linspace(0.5, 1.5, 16)
y = 0.9 * x
weight = nn.Parameter(torch.zeros(()))
faulty = "HEALTHY" not in os.environ
optimizer = torch.optim.SGD([weight], lr=0.45 if faulty else 0.05, momentum=0.5)

for epoch in range(12):
    optimizer.zero_grad()
    error = (weight * x - y).square().mean()
    barrier = -torch.log(1 - weight)  # origin
    loss = error + 1e-3 * barrier
    loss.backward()
    optimizer.step()
    print(epoch, loss.item())

save_final_state(nn.ParameterList([weight]), optimizer)
