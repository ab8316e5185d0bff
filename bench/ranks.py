"""Measures what the guard costs where two ranks train together, its one collective a step included.

    python bench/ranks.py [--quick]

Two gloo processes of one thread each, DistributedDataParallel, the larger trainings of `overhead.py`. In every round
the bare loop, the bare loop once more, and the guarded loop make a block of steps, in an order that changes and is the
same on both ranks. Ratios are those of rank 0, which waits for the other one in each step anyway.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from paired import paired_ratio
from rich.console import Console
from rich.table import Table
from torch import Tensor, distributed, multiprocessing, nn
from torch.distributed import TCPStore
from torch.nn.parallel import DistributedDataParallel
from variants import BARE, EVENKEEL, TWIN, Looped
from workloads import WORKLOADS, Training, Workload, training_of

from evenkeel.core.settings import EACH_TENTH_STEP, stop
from evenkeel.guard.guarded import GuardedLoop
from evenkeel.guard.incidents import Record
from evenkeel.guard.loop import Loop
from evenkeel.guard.together import Together
from evenkeel.journal.writer import Journal, journal_path
from evenkeel.step.hooks import listening

NUM_RANKS = 2
NUM_ROUNDS, NUM_STEPS = 15, 10
QUICK_ROUNDS, QUICK_STEPS = 2, 1
Seconds = list[dict[str, float]]


class LossOf(nn.Module):
    """A model whose forward is its loss, so that DDP sees every use of its parameters."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *batch: Tensor) -> Tensor:
        loss: Tensor = self.model.loss(batch)  # type: ignore[operator]  # every workload has one
        return loss


def steps(training: Training, ddp: nn.Module) -> Iterator[None]:
    """The training loop on one rank; it pauses after each update, and never ends."""
    while True:
        for batch in training.loader:
            training.optimizer.zero_grad()
            ddp(*batch).backward()
            training.optimizer.step()
            yield


def take_turns(workload: Workload, out: Path, num_rounds: int, num_steps: int) -> Seconds:
    """The seconds of a step of each variant, round by round."""
    training = training_of(workload, clipped=False)
    ddp = DistributedDataParallel(LossOf(training.model))
    ranks = Together(lambda: (ddp,))
    with Journal(journal_path(out, ranks.rank)) as journal:
        record = Record(out=out, journal=journal, ranks=ranks)
        guarded = GuardedLoop(Loop(lambda: (ddp,), EACH_TENTH_STEP), record, stop())

        def watched() -> AbstractContextManager[Any]:
            return listening(guarded)

        loops = {name: Looped(steps(training, ddp), watched if name == EVENKEEL else nullcontext)
                 for name in (BARE, TWIN, EVENKEEL)}  # fmt: skip
        chance = random.Random(0)
        seconds: Seconds = []
        for _ in range(num_rounds):
            seconds.append({})
            for name in chance.sample(list(loops), len(loops)):
                distributed.barrier()
                seconds[-1][name] = loops[name].block(num_steps)
        ranks.close()
        if guarded.loop.step == 0 or not ranks.share(training.optimizer):
            raise RuntimeError(f"{workload.name}: the ranks agreed on no step, so the cost of that was not measured")
    return seconds


def work(rank: int, port: int, out: str, num_rounds: int, num_steps: int) -> None:
    """One rank, from its start to its figures."""
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(NUM_RANKS), LOCAL_RANK=str(rank))
    store = TCPStore("127.0.0.1", port, NUM_RANKS, is_master=rank == 0)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=NUM_RANKS)
    found: dict[str, Seconds] = {}
    for workload in (w for w in WORKLOADS if w.is_large):
        place = Path(out) / workload.name
        place.mkdir(exist_ok=True)
        found[workload.name] = take_turns(workload, place, num_rounds, num_steps)
    if rank == 0:
        (Path(out) / "seconds.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


def free_port() -> int:
    """One that nobody listens on."""
    return TCPStore("127.0.0.1", 0, 1, is_master=True, wait_for_workers=False).port


def measured(num_rounds: int, num_steps: int) -> dict[str, Seconds]:
    """Start the ranks and read what rank 0 found."""
    with tempfile.TemporaryDirectory() as out:
        multiprocessing.spawn(work, (free_port(), out, num_rounds, num_steps), nprocs=NUM_RANKS)
        found: dict[str, Seconds] = json.loads((Path(out) / "seconds.json").read_text())
    return found


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Measure what supervision of two ranks costs.")
    parser.add_argument("--quick", action="store_true", help="two rounds of one step: a smoke run")
    quick = parser.parse_args().quick
    found = measured(*((QUICK_ROUNDS, QUICK_STEPS) if quick else (NUM_ROUNDS, NUM_STEPS)))
    table = Table("training", "bare, ms", TWIN, EVENKEEL, title="Two ranks: time of a step beside the bare loop's")
    for name, rounds in found.items():
        ratios = (paired_ratio([r[v] for r in rounds], [r[BARE] for r in rounds]) for v in (TWIN, EVENKEEL))
        cells = (f"{each.middle:.3f} {each.low:.3f}–{each.high:.3f}" for each in ratios)
        table.add_row(name, f"{1000 * statistics.median(r[BARE] for r in rounds):.1f}", *cells)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
