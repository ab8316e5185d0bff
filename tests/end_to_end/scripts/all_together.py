"""Two optimizers, accumulation, clipping, schedules and a disabled GradScaler. Planted: the root of 0."""

import os

import torch
from final_state import save_final_state
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.rand(60, 3) + 0.5
if "HEALTHY" not in os.environ:
    x[32] = 0.0  # the first of two micro-batches of iteration 5
loader = DataLoader(TensorDataset(x), batch_size=3)
body = nn.Linear(3, 4, bias=False)
head = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))
optimizers = [torch.optim.AdamW(body.parameters(), lr=0.01), torch.optim.SGD(head.parameters(), lr=0.05, momentum=0.9)]
schedulers = [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10) for optimizer in optimizers]
scaler = torch.amp.GradScaler("cpu", enabled=False)

for i, (inputs,) in enumerate(loader):
    length = torch.sqrt(body(inputs).square().sum(1, keepdim=True))  # origin
    loss = (head(length) - 1).square().mean() / 2
    scaler.scale(loss).backward()
    print(i, loss.item())
    if i % 2 == 1:
        for optimizer in optimizers:
            scaler.unscale_(optimizer)
        clip_grad_norm_([*body.parameters(), *head.parameters()], 1.0)
        for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
            scaler.step(optimizer)
            optimizer.zero_grad()
            scheduler.step()
        scaler.update()

save_final_state(body, head, *optimizers, *schedulers)
