"""Measures what the guard costs where two ranks train together, its one collective a step included.

    python bench/ranks.py [--quick]

Two gloo processes of one thread each, DistributedDataParallel, the larger trainings of `overhead.py`. In every round
the bare loop, the bare loop once more, the guarded loop, and a guarded loop that asks no other rank make a block of
steps, in an order that changes and is the same on both ranks. Ratios are those of rank 0, which waits for the other one
in each step anyway.
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
from contextlib import contextmanager
from pathlib import Path

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
from evenkeel.guard.ranks import Alone, Ranks
from evenkeel.guard.together import Together
from evenkeel.journal.writer import Journal, journal_path
from evenkeel.step.hooks import listening

NUM_RANKS = 2
SILENT = "without the agreement"
SHOWN = (TWIN, EVENKEEL, SILENT)
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


@contextmanager
def guarding(ddp: nn.Module, out: Path, ranks: Ranks) -> Iterator[GuardedLoop]:
    """What `evenkeel run` builds on one rank, with a journal on disk."""
    out.mkdir(parents=True)
    with Journal(journal_path(out)) as journal:
        record = Record(out=out, journal=journal, ranks=ranks)
        yield GuardedLoop(Loop(lambda: (ddp,), EACH_TENTH_STEP), record, stop())


def take_turns(workload: Workload, out: Path, num_rounds: int, num_steps: int) -> Seconds:
    """The seconds of a step of each variant, round by round."""
    training = training_of(workload, clipped=False)
    ddp = DistributedDataParallel(LossOf(training.model))
    ranks = Together(lambda: (ddp,))
    with guarding(ddp, out / "together", ranks) as guarded, guarding(ddp, out / "alone", Alone()) as silent:
        loops = {
            BARE: Looped(steps(training, ddp)),
            TWIN: Looped(steps(training, ddp)),
            EVENKEEL: Looped(steps(training, ddp), lambda: listening(guarded)),
            SILENT: Looped(steps(training, ddp), lambda: listening(silent)),
        }
        seconds = rounds_of(loops, num_rounds, num_steps)
        if guarded.loop.step == 0 or not ranks.share(training.optimizer):
            raise RuntimeError(f"{workload.name}: the ranks agreed on no step, so the cost of that was not measured")
    ranks.close()
    return seconds


def rounds_of(loops: dict[str, Looped], num_rounds: int, num_steps: int) -> Seconds:
    """All loops in turn, in the same order on every rank."""
    chance = random.Random(0)
    seconds: Seconds = []
    for _ in range(num_rounds):
        seconds.append({})
        for name in chance.sample(list(loops), len(loops)):
            distributed.barrier()
            seconds[-1][name] = loops[name].block(num_steps)
    return seconds


def work(rank: int, port: int, out: str, num_rounds: int, num_steps: int) -> None:
    """One rank, from its start to its figures."""
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(NUM_RANKS), LOCAL_RANK=str(rank))
    store = TCPStore("127.0.0.1", port, NUM_RANKS, is_master=rank == 0)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=NUM_RANKS)
    found: dict[str, Seconds] = {}
    for workload in (w for w in WORKLOADS if w.is_large):
        place = Path(out) / f"rank{rank}" / workload.name
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
    table = Table("training", "bare, ms", *SHOWN, title="Two ranks: time of a step beside the bare loop's")
    for name, rounds in found.items():
        ratios = (paired_ratio([r[v] for r in rounds], [r[BARE] for r in rounds]) for v in SHOWN)
        cells = (f"{each.middle:.3f} {each.low:.3f}–{each.high:.3f}" for each in ratios)
        table.add_row(name, f"{1000 * statistics.median(r[BARE] for r in rounds):.1f}", *cells)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
