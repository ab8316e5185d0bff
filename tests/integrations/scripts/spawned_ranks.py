"""Two ranks that the program spawns by itself. FAULT plants one fault, on the second."""

import hashlib
import os
import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

FAULT = os.environ.get("FAULT", "")
BAD_ROW = 53


def train(rank: int, port: int) -> None:
    """One rank."""
    os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=2)
    torch.manual_seed(0)
    rows = torch.randn(80, 3)
    if FAULT == "forward":
        rows[BAD_ROW] = 0.0
    model = DistributedDataParallel(nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    data = TensorDataset(rows)
    for _ in range(2):
        for (x,) in DataLoader(data, batch_size=8, sampler=DistributedSampler(data, shuffle=False)):
            error = (model(x) - x.sum(dim=1, keepdim=True)).square()
            if FAULT == "forward":
                error = error / x.square().sum(dim=1, keepdim=True)  # origin: forward
            loss = error.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    content = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    if rank == 0:
        print("trained", loss.item().hex(), hashlib.blake2b(content, digest_size=8).hexdigest(), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    mp.start_processes(train, args=(port,), nprocs=2, start_method=os.environ.get("START", "spawn"))
