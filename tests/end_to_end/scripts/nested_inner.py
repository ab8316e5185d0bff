"""A loader inside a loader's loop, with updates of its own. Planted in the inner loop: log10 of 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
tasks = torch.rand(4, 12, 2) + 0.5
if "HEALTHY" not in os.environ:
    tasks[2, 5] = 0.0
shared = nn.Linear(2, 3)
adapter = nn.Linear(3, 1)
for_shared = torch.optim.Adam(shared.parameters(), lr=0.01)
for_adapter = torch.optim.SGD(adapter.parameters(), lr=0.05)

for (task,) in DataLoader(TensorDataset(tasks), batch_size=1):
    for (inputs,) in DataLoader(TensorDataset(task[0]), batch_size=4, shuffle=False):
        decade = torch.log10(inputs)  # origin
        loss = (adapter(shared(decade).detach()) - 1).square().mean()
        for_adapter.zero_grad()
        loss.backward()
        for_adapter.step()
        print("  inner", loss.item())
    outer = (adapter(shared(task[0])) - 1).square().mean()
    for_shared.zero_grad()
    outer.backward()
    for_shared.step()
    print("outer", outer.item())

save_final_state(shared, adapter, for_shared, for_adapter)
