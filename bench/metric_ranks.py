"""Measures what it costs to put the statistics of an epoch together, and to take in a batch.

    python bench/metric_ranks.py

Gloo processes of one thread each on this machine: `reduce` beside a plain all_reduce of as many float64 numbers and an
all_gather of them, in turn, the slowest rank of each round; medians. Then one process: statistics of a batch and their
merge.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import distributed, multiprocessing

from evenkeel.dist.reduce import Parcel, reduce
from evenkeel.metrics import Paired, PoissonFit
from evenkeel.tensors.wide import Wide

NUM_ROUNDS = 21
RANKS = (2, 8)
SIZES = (100, 10_000, 100_000)


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def ways(size: int, num_ranks: int) -> dict[str, Callable[[], object]]:
    """What is compared: `size` sums on each rank."""
    sums = Wide.product(torch.rand(size).double(), torch.rand(size).double())
    parcel = Parcel(layout="bench", sums=sums, rows=torch.zeros(0).double())
    parts = [torch.empty_like(sums.high) for _ in range(num_ranks)]
    return {
        "reduce": lambda: reduce(parcel),
        "plain all_reduce": lambda: distributed.all_reduce(sums.high.clone()),
        "plain all_gather": lambda: distributed.all_gather(parts, sums.high),
    }


def rank_main(rank: int, num_ranks: int, store: str) -> None:
    """One rank."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=num_ranks)
    for size in SIZES:
        found = {name: [] for name in ways(size, num_ranks)}
        for _ in range(NUM_ROUNDS):
            for name, work in ways(size, num_ranks).items():
                distributed.barrier()
                slowest = torch.tensor([timed(work)])
                distributed.all_reduce(slowest, op=distributed.ReduceOp.MAX)
                found[name].append(slowest.item())
        if rank == 0:
            medians = ", ".join(f"{name} {statistics.median(times):.2f} ms" for name, times in found.items())
            print(f"{num_ranks} ranks, {size:,} sums: {medians}", flush=True)
    distributed.destroy_process_group()


def batches() -> None:
    """Statistics of one batch and their merge, 64 x 76 as in a small recording and 4,096 x 2,000 as of genes."""
    torch.set_num_threads(1)
    for shape in ((64, 76), (4096, 2000)):
        x, y = torch.rand(shape), torch.poisson(torch.rand(shape))
        for kind in (PoissonFit, Paired):
            made = kind.of(x, y)
            of = statistics.median(timed(lambda kind=kind, x=x, y=y: kind.of(x, y)) for _ in range(NUM_ROUNDS))
            merge = statistics.median(timed(lambda made=made: made.merge(made)) for _ in range(NUM_ROUNDS))
            print(f"{kind.__name__} of {shape[0]:,} x {shape[1]:,}: {of:.2f} ms, merge {merge:.2f} ms")


def main() -> None:
    """All numbers of ranks, then batches."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for num_ranks in RANKS:
        with tempfile.TemporaryDirectory() as directory:
            store = str(Path(directory) / "store")
            multiprocessing.spawn(rank_main, args=(num_ranks, store), nprocs=num_ranks)
    batches()


if __name__ == "__main__":
    main()
