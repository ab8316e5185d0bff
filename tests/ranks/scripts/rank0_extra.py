"""DDP, and a small probe that rank 0 alone trains within the loop. Planted, as FAULT says: in either of the two."""

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
fault = os.environ.get("FAULT", "")
if rank == 1 and fault == "model":
    x[13] = 0.0
if rank == 0 and fault == "probe":
    x[13] = 0.0

model = DistributedDataParallel(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
probe = nn.Linear(4, 1)
probe_optimizer = torch.optim.SGD(probe.parameters(), lr=0.05)
with ending(model, optimizer, probe):
    for (inputs,) in DataLoader(TensorDataset(x), batch_size=4):
        outputs = model(inputs).squeeze(1)
        total = inputs.sum(1)
        goal = 1 / total if rank == 1 else total  # origin of FAULT=model
        loss = (outputs - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        updated(model)
        if rank == 0:
            probe_goal = total.reciprocal()  # origin of FAULT=probe
            probe_loss = (probe(inputs).squeeze(1) - probe_goal).square().mean()
            probe_optimizer.zero_grad()
            probe_loss.backward()
            probe_optimizer.step()

dist.destroy_process_group()
