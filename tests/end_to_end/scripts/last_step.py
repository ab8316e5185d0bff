"""The last step of the program fails, in a loop that does not come back. Planted: tan, then a root below 0."""

import os

import torch
from final_state import save_final_state
from torch import nn

torch.manual_seed(0)
num_steps = 6
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
times = torch.linspace(1.0, 0.0, num_steps)
if "HEALTHY" not in os.environ:
    times[-1] = -1e-3

for t in times:
    noise = torch.randn(4, 2)
    loss = (model(noise * torch.sqrt(t)) - 1).square().mean()  # origin
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
