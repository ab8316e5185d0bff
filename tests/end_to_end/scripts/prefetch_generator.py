"""A generator that holds one batch back and fetches the next one ahead. Planted: a division by a count of 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def ahead(loader):
    """The batches of a loader; while one is used the next one is there already."""
    iterator = iter(loader)
    held = next(iterator)
    for upcoming in iterator:
        yield held
        held = upcoming
    yield held


torch.manual_seed(0)
total, count = torch.randn(36, 2), torch.ones(36, 1)
if "HEALTHY" not in os.environ:
    count[22] = 0.0
loader = DataLoader(TensorDataset(total, count), batch_size=4)
model = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.2), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for summed, number in ahead(loader):
    mean = summed / number  # origin
    loss = (model(mean) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
