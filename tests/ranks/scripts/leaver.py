"""DDP. Rank 1 leaves in step 3, as LEAVES says: it raises, or is killed."""

import os
import signal

import torch
import torch.distributed as dist
from ending import ending, updated
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
x = torch.rand(32, 4, generator=torch.Generator().manual_seed(rank))


def leave(how):
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("rank 1 cannot read its data")


model = DistributedDataParallel(nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
with ending(model, optimizer):
    for step, (inputs,) in enumerate(DataLoader(TensorDataset(x), batch_size=4)):
        if rank == 1 and step == 3:
            leave(os.environ["LEAVES"])
        loss = model(inputs).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        updated(model)

dist.destroy_process_group()
