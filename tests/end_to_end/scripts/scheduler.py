"""A learning-rate schedule stepped per batch. Planted: exp of a log-variance of 200."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
log_variance = torch.randn(36, 2)
if "HEALTHY" not in os.environ:
    log_variance[20, 0] = 200.0
loader = DataLoader(TensorDataset(log_variance), batch_size=3)
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=2 * len(loader))

for _epoch in range(2):
    for (inputs,) in loader:
        variance = torch.exp(inputs)  # origin
        loss = (model(variance) - 1).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        print(loss.item(), scheduler.get_last_lr())

save_final_state(model, optimizer, scheduler)
