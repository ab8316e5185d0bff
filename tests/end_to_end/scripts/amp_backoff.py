"""A GradScaler that begins far too high and backs off, in float16. Planted long after: the log of a sum of 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.rand(120, 4) + 0.5
if "HEALTHY" not in os.environ:
    x[101] = 0.0
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30)

for (inputs,) in DataLoader(TensorDataset(x), batch_size=4):
    with torch.autocast("cpu", dtype=torch.float16):
        prediction = model(inputs)
    target = torch.log(inputs.sum(1, keepdim=True))  # origin
    loss = (prediction.float() - target).square().mean()
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    print(loss.item(), scaler.get_scale())

save_final_state(model, optimizer, scaler)
