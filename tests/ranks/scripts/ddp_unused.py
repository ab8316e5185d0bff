"""DDP with branches that not all ranks use. Planted: the slope of a root at zero on rank 0; all losses are finite."""

import os

import torch
import torch.distributed as dist
from ending import ending, updated
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset


class Branches(nn.Module):
    """A head that all ranks use, and two branches that each leave to others."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 1)
        self.gate = nn.Parameter(torch.ones(4))
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, inputs, *, gated):
        predicted = self.head(inputs).squeeze(1)
        if gated:
            return predicted + (inputs * self.gate).square().sum(1).sqrt()  # origin
        return predicted + self.shift


dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
x = torch.rand(24, 4, generator=torch.Generator().manual_seed(rank)) + 0.1
if rank == 0 and "HEALTHY" not in os.environ:
    x[17] = 0.0

model = DistributedDataParallel(Branches(), find_unused_parameters=True)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
with ending(model, optimizer):
    for step, (inputs,) in enumerate(DataLoader(TensorDataset(x), batch_size=4)):
        if step == 4 and "LEAVE_OUT" in os.environ:
            continue
        loss = (model(inputs, gated=rank == 0) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        updated(model)

dist.destroy_process_group()
