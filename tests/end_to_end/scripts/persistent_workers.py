"""DataLoader with persistent workers, two epochs, shuffled. Planted: normalising a zero vector by its norm."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(10)
x = torch.randn(24, 3)
if "HEALTHY" not in os.environ:
    x[9] = 0.0
loader = DataLoader(TensorDataset(x), batch_size=4, shuffle=True, num_workers=2, persistent_workers=True)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for epoch in range(2):
    for (inputs,) in loader:
        direction = inputs / inputs.norm(dim=1, keepdim=True)  # origin
        loss = (model(direction) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(epoch, loss.item())

save_final_state(model, optimizer)
