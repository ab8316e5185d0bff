"""DDP. Planted: the data of rank 1 hold a zero, whose 0 · log(0) makes the gradients of all ranks NaN."""

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
x = torch.rand(32, 4, generator=torch.Generator().manual_seed(rank)) + 0.5
if rank == 1 and "HEALTHY" not in os.environ:
    x[13, 2] = 0.0

model = DistributedDataParallel(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
with ending(model, optimizer):
    for step, (inputs,) in enumerate(DataLoader(TensorDataset(x), batch_size=4)):
        if step == 3 and "LEAVE_OUT" in os.environ:
            continue
        target = (inputs * inputs.log()).sum(1)  # origin
        loss = (model(inputs).squeeze(1) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        updated(model)

if "KEEP_GROUP" not in os.environ:
    dist.destroy_process_group()
