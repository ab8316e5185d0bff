"""CPU autocast in bfloat16. Planted: a probability that rounds to 1 in bfloat16 under a large input."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(32, 4) * 0.1
if "HEALTHY" not in os.environ:
    x[19] = 40.0
model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 1))
with torch.no_grad():
    for parameter in model.parameters():
        parameter.abs_()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.001)

for (inputs,) in DataLoader(TensorDataset(x), batch_size=4):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        probability = torch.sigmoid(model(inputs))
        loss = -torch.log(1 - probability).mean()  # origin
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

save_final_state(model, optimizer)
