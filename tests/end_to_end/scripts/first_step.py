"""The very first step fails. Planted: the log of an argument below 0, drawn before the model is first called."""

import os

import torch
from final_state import save_final_state
from torch import nn

torch.manual_seed(0)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
shift = 10.0 if "HEALTHY" in os.environ else 0.0

for step in range(4):
    x = torch.randn(5, 3) + shift
    target = torch.log(x[:, :1])  # origin
    loss = (model(x) - target).square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    print(step, loss.item())

save_final_state(model, optimizer)
