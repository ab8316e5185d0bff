"""islice over a loader; the failing step is the last of the slice. Planted: log1p at -1."""

import itertools
import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.rand(40, 2)
if "HEALTHY" not in os.environ:
    x[17, 1] = -1.0
loader = DataLoader(TensorDataset(x), batch_size=4)
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for epoch in range(2):
    for (inputs,) in itertools.islice(loader, 5):
        loss = (model(torch.log1p(inputs)) - 1).square().mean()  # origin
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(epoch, loss.item())

save_final_state(model, optimizer)
