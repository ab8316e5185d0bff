"""DDP with join(): rank 1 has two batches more than rank 0. Planted: a zero in rank 1's data, while both train."""

import os

import torch
import torch.distributed as dist
from ending import ending, updated
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
x = torch.rand(4 * (6 + 2 * rank), 4, generator=torch.Generator().manual_seed(rank)) + 0.5
if rank == 1 and "HEALTHY" not in os.environ:
    x[13, 2] = 0.0

model = DistributedDataParallel(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
with ending(model, optimizer), model.join():
    for (inputs,) in DataLoader(TensorDataset(x), batch_size=4):
        target = (inputs * inputs.log()).sum(1)  # origin
        loss = (model(inputs).squeeze(1) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        updated(model)

dist.destroy_process_group()
