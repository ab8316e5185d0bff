"""DDP, watched from inside; rank 1 meets a NaN in step 3. At the very end, how many threads of gloo there still are."""

import atexit
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

import evenkeel

written = Path(sys.argv[-1])


def runs_last():
    names = [(thread / "comm").read_text().strip() for thread in Path("/proc/self/task").iterdir()]
    (written / f"threads{os.environ['RANK']}").write_text(str(names.count("pt_gloo_runloop")))


atexit.register(runs_last)
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
x = torch.rand(32, 4, generator=torch.Generator().manual_seed(rank))
x[12 if rank == 1 else 0] = float("nan") if rank == 1 else 0.0
model = DistributedDataParallel(nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
guard = evenkeel.Guard(model, optimizer, out=written / "evenkeel")
try:
    for (inputs,) in guard.batches(DataLoader(TensorDataset(x), batch_size=4)):
        loss = model(inputs).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
except evenkeel.TrainingStopped:
    sys.exit(3)
