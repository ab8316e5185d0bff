"""Evaluation with a shuffled loader of its own between a batch and its loss. Planted right after one: the log of 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.rand(48, 3) + 0.5
if "HEALTHY" not in os.environ:
    x[26] = 0.0
loader = DataLoader(TensorDataset(x), batch_size=4)
validation = DataLoader(TensorDataset(torch.rand(20, 3)), batch_size=2, shuffle=True)
model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)


@torch.no_grad()
def evaluate():
    """The mean error over all of the validation data."""
    model.eval()
    errors = [model(inputs).square().mean().item() for (inputs,) in validation]
    model.train()
    return sum(errors) / len(errors)


for step, (inputs,) in enumerate(loader):
    if step % 3 == 0:
        print("validation", evaluate())
    target = torch.log(inputs.sum(1, keepdim=True))  # origin
    loss = (model(inputs) - target).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())

save_final_state(model, optimizer)
