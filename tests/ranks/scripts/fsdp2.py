"""FSDP2, parameters in shards. Planted: the last rank divides zero by zero, and every shard's gradient is NaN."""

import os

import torch
import torch.distributed as dist
from ending import ending, updated
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader, TensorDataset

dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
x = torch.rand(24, 4, generator=torch.Generator().manual_seed(rank))
if rank == size - 1 and "HEALTHY" not in os.environ:
    x[10] = 0.0

model = nn.Sequential(nn.Linear(4, 10), nn.Tanh(), nn.Linear(10, 3))
mesh = init_device_mesh("cpu", (size,))
for layer in (model[0], model[2], model):
    fully_shard(layer, mesh=mesh)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
with ending(model, optimizer):
    for step, (inputs,) in enumerate(DataLoader(TensorDataset(x), batch_size=4)):
        if step == 2 and "LEAVE_OUT" in os.environ:
            continue
        shares = inputs / inputs.sum(1, keepdim=True)  # origin
        loss = (model(shares).sum(1) - shares[:, 0]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        updated(model)

dist.destroy_process_group()
