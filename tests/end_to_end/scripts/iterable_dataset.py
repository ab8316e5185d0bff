"""An iterable dataset with a generator of its own. Planted: lgamma at 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, IterableDataset


class Stream(IterableDataset):
    """Positive numbers, drawn as they are asked for."""

    def __iter__(self):
        generator = torch.Generator().manual_seed(7)
        for position in range(36):
            drawn = torch.rand(2, generator=generator) + 0.5
            yield drawn * (position != 29) if "HEALTHY" not in os.environ else drawn


torch.manual_seed(0)
model = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.1), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for inputs in DataLoader(Stream(), batch_size=4):
    entropy = torch.lgamma(inputs)  # origin
    loss = (model(entropy) - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
