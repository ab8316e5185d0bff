"""Model and optimizer are built anew in the middle of training. Planted after it: the root of a width of 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def build(width):
    """A model of this width, with its optimizer."""
    model = nn.Sequential(nn.Linear(3, width, bias=False), nn.Dropout(0.1), nn.Linear(width, width, bias=False))
    return model, torch.optim.Adam(model.parameters(), lr=0.01)


torch.manual_seed(0)
x = torch.rand(48, 3) + 0.5
if "HEALTHY" not in os.environ:
    x[37] = 0.0
loader = DataLoader(TensorDataset(x), batch_size=4)
model, optimizer = build(2)

for step, (inputs,) in enumerate(loader):
    if step == 6:
        model, optimizer = build(8)
    width = torch.sqrt(model(inputs).square().sum(1))  # origin
    loss = (width - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())

save_final_state(model, optimizer)
