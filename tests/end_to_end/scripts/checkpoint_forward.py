"""Gradient checkpointing, not reentrant. Planted: inside the block, the log of a sum that is 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset


class Block(nn.Module):
    """A layer beside the log of its input's energy."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        energy = x.square().sum(1, keepdim=True)
        level = torch.log(energy)  # origin
        return self.drop(torch.tanh(self.layer(x))) + level


torch.manual_seed(0)
x = torch.randn(32, 3)
if "HEALTHY" not in os.environ:
    x[22] = 0.0
block, head = Block(), nn.Linear(3, 1)
optimizer = torch.optim.SGD([*block.parameters(), *head.parameters()], lr=0.01)

for (inputs,) in DataLoader(TensorDataset(x), batch_size=4):
    hidden = checkpoint(block, inputs, use_reentrant=False)
    loss = (head(hidden) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(block, head, optimizer)
