"""Fused AdamW, which a GradScaler calls even when it skips the step. Planted long after: 0 / 0 in a batch."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x, weight = torch.randn(120, 4), torch.ones(120, 1)
if "HEALTHY" not in os.environ:
    weight[92:96] = 0.0
model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(0.1), nn.Linear(8, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30)

for inputs, importance in DataLoader(TensorDataset(x, weight), batch_size=4):
    with torch.autocast("cpu", dtype=torch.float16):
        prediction = model(inputs)
    error = (prediction.float() - 1).square() * importance
    loss = error.sum() / importance.sum()  # origin
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    print(loss.item(), scaler.get_scale())

save_final_state(model, optimizer, scaler)
