"""Batches that are dicts, from which the loop pops a key. Planted: a division by a weight sum of 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader

torch.manual_seed(0)
faulty = "HEALTHY" not in os.environ
rows = [{"x": torch.randn(3), "y": torch.ones(1), "weight": torch.ones(1)} for _ in range(20)]
for row in rows[8:12] if faulty else []:
    row["weight"] = torch.zeros(1)
loader = DataLoader(rows, batch_size=4)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for batch in loader:
    y, weight = batch.pop("y"), batch.pop("weight")
    error = (model(batch.pop("x")) - y).square()
    loss = (error * weight).sum() / weight.sum()  # origin
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(sorted(batch), loss.item())

save_final_state(model, optimizer)
