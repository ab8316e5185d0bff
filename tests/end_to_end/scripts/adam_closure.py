"""Adam with a closure over a loader. Planted: asin of a tanh that saturates at 1, where its slope is infinite."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.rand(32, 3)
if "HEALTHY" not in os.environ:
    x[18] = 1e4
model = nn.Sequential(nn.Linear(3, 1), nn.Tanh())
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

for (inputs,) in DataLoader(TensorDataset(x), batch_size=4):

    def closure(inputs=inputs):
        """The loss of one batch and its gradients."""
        optimizer.zero_grad()
        angle = torch.asin(model(inputs))  # origin
        loss = (angle - 1).square().mean()
        loss.backward()
        return loss

    print(optimizer.step(closure).item())

save_final_state(model, optimizer)
