"""DDP, two batches to an update. Planted: rank 1's first batch of an update, which is not reduced by itself."""

import os
from contextlib import nullcontext

import torch
import torch.distributed as dist
from ending import ending, updated
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
x = torch.rand(40, 3, generator=torch.Generator().manual_seed(rank))
if rank == 1 and "HEALTHY" not in os.environ:
    x[24] = 200.0  # batch 6: the first of update 3

model = DistributedDataParallel(nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
with ending(model, optimizer):
    for number, (inputs,) in enumerate(DataLoader(TensorDataset(x), batch_size=4)):
        if number in (6, 7) and "LEAVE_OUT" in os.environ:
            continue
        first = number % 2 == 0
        with model.no_sync() if first else nullcontext():
            growth = inputs.sum(1).exp()  # origin
            loss = (model(inputs).squeeze(1) - growth).square().mean() / 2
            loss.backward()
        if not first:
            optimizer.step()
            updated(model)
            optimizer.zero_grad()

dist.destroy_process_group()
