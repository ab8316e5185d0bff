"""FSDP2. Planted on rank 1: the slope of a root at zero, in the one row of the weight that rank 0 holds.

All losses are finite, and so is the gradient of rank 1's own shard: only rank 0 sees what rank 1 did.
"""

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
x = torch.rand(24, 4, generator=torch.Generator().manual_seed(rank)) + 0.1
if rank == 1 and "HEALTHY" not in os.environ:
    x[14] = 0.0

model = nn.Linear(4, size, bias=False)  # one row for each rank
fully_shard(model, mesh=init_device_mesh("cpu", (size,)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
with ending(model, optimizer):
    for step, (inputs,) in enumerate(DataLoader(TensorDataset(x), batch_size=4)):
        if step == 3 and "LEAVE_OUT" in os.environ:
            continue
        scores = model(inputs)
        length = scores[:, 0].square().sqrt()  # origin
        loss = (length - 1).square().mean() + scores[:, 1:].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        updated(model)

dist.destroy_process_group()
