"""DDP. Planted: a term that rank 1 only reports is infinite; the gradients are finite on all ranks."""

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
x = torch.rand(48, 4, generator=torch.Generator().manual_seed(rank))
if rank == 1 and "HEALTHY" not in os.environ:
    x[30:36, 2] = 0.25  # a column of step 5 that does not vary

model = DistributedDataParallel(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
with ending(model, optimizer):
    for step, (inputs,) in enumerate(DataLoader(TensorDataset(x), batch_size=6)):
        if step == 5 and "LEAVE_OUT" in os.environ:
            continue
        error = (model(inputs).squeeze(1) - inputs.sum(1)).square().mean()
        spread = inputs.amax(0) - inputs.amin(0)
        narrowness = spread.reciprocal().mean()  # origin
        loss = error + 0.1 * narrowness.detach()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        updated(model)

dist.destroy_process_group()
