"""No DDP: the gradients are averaged by hand. Planted: rank 1 divides by zero."""

import os

import torch
import torch.distributed as dist
from ending import ending, updated
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
x = torch.rand(32, 4, generator=torch.Generator().manual_seed(rank)) + 0.5
if rank == 1 and "HEALTHY" not in os.environ:
    x[9] = 0.0

model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
with ending(model, optimizer):
    for step, (inputs,) in enumerate(DataLoader(TensorDataset(x), batch_size=4)):
        if step == 2 and "LEAVE_OUT" in os.environ:
            continue
        share = inputs[:, 0] / inputs.sum(1)  # origin
        loss = (model(inputs).squeeze(1) - share).square().mean()
        optimizer.zero_grad()
        loss.backward()
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad)
            parameter.grad /= size
        optimizer.step()
        updated(model)

dist.destroy_process_group()
