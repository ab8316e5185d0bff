"""Gradient checkpointing, reentrant. Planted: inside the block, a power of one half of 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset


class Amplitude(nn.Module):
    """The root of an energy, with dropout before it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4, bias=False)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        energy = self.drop(self.layer(x)).square().sum(1, keepdim=True)
        return energy.pow(0.5)  # origin


torch.manual_seed(0)
x = torch.rand(32, 3) + 0.5
if "HEALTHY" not in os.environ:
    x[17] = 0.0
embedding = nn.Linear(3, 3, bias=False)
amplitude, head = Amplitude(), nn.Linear(1, 1)
modules = nn.ModuleList([embedding, amplitude, head])
optimizer = torch.optim.SGD(modules.parameters(), lr=0.01, momentum=0.9)

for (inputs,) in DataLoader(TensorDataset(x), batch_size=4):
    hidden = checkpoint(amplitude, embedding(inputs), use_reentrant=True)
    loss = (head(hidden) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(modules, optimizer)
