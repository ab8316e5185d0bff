"""DDP with a batch size for each rank. Planted: rank 0 takes the root of a negative number."""

import os

import torch
import torch.distributed as dist
from ending import ending, updated
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(rank)
batch_size = 3 + 2 * rank
x = torch.rand(8 * batch_size, 4) + 0.1
if rank == 0 and "HEALTHY" not in os.environ:
    x[7] = -1.0

model = DistributedDataParallel(nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.2), nn.Linear(6, 1)))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
with ending(model, optimizer):
    for step, (inputs,) in enumerate(DataLoader(TensorDataset(x), batch_size=batch_size)):
        if step == 2 and "LEAVE_OUT" in os.environ:
            continue
        length = inputs.sum(1).sqrt()  # origin
        loss = (model(inputs).squeeze(1) - length).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        updated(model)

dist.destroy_process_group()
