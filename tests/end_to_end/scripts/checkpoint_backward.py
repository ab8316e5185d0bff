"""Gradient checkpointing, not reentrant. Planted: inside the block, the root of a sum of squares that is 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset


class Length(nn.Module):
    """How long a projection is."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4, bias=False)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        projected = self.drop(self.layer(x))
        return torch.sqrt(projected.square().sum(1, keepdim=True))  # origin


torch.manual_seed(0)
x = torch.rand(32, 3) + 0.5
if "HEALTHY" not in os.environ:
    x[13] = 0.0
length, head = Length(), nn.Linear(1, 1)
optimizer = torch.optim.Adam([*length.parameters(), *head.parameters()], lr=0.01)

for (inputs,) in DataLoader(TensorDataset(x), batch_size=4):
    loss = (head(checkpoint(length, inputs, use_reentrant=False)) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(length, head, optimizer)
