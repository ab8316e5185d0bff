"""Measures how long an incident takes: from the sight of a bad step to its report, and through all experiments.

    python bench/incident.py [--rounds N] [--threads N] [--only WORKLOAD ...]

The four trainings of `workloads.py`, watched as `evenkeel run` watches them. In every round some healthy steps run,
then log(1 + exp(x)) with an x of thousands is planted in one sample, early in the network. The clock starts when the
backward pass of that step has ended, and stops when training does, the reports written; the same is measured without
experiments. Times are given in steps: divided by the median of the round's healthy steps. Capsules are left out: they
cost what the disk costs. `trace.py` measures the way to the origin alone.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from workloads import WORKLOADS, Workload, training_of

from evenkeel.casefile.changes import Changes, all_changes, no_changes
from evenkeel.core.errors import TrainingStopped
from evenkeel.core.settings import stop
from evenkeel.guard.guarded import GuardedLoop
from evenkeel.guard.incidents import Record
from evenkeel.guard.loop import Loop
from evenkeel.journal.writer import Journal
from evenkeel.step.hooks import listening

BUDGET = 20.0  # of all experiments, in steps
NUM_HEALTHY = 8
PLANTED_SAMPLE = 1


@dataclass
class Figures:
    """One training; in steps, one entry a round."""

    name: str
    step_ms: list[float] = field(default_factory=list)
    to_report: list[float] = field(default_factory=list)
    with_experiments: list[float] = field(default_factory=list)
    num_experiments: int = 0

    @property
    def experiments(self) -> float:
        """What the experiments alone took, the median."""
        return median(b - a for a, b in zip(self.to_report, self.with_experiments, strict=True))


def plant(_module: nn.Module, _given: object, output: Tensor) -> Tensor:
    """Add a softplus in the form that overflows, in one sample."""
    scale = torch.zeros_like(output)
    scale[PLANTED_SAMPLE] = 1e6
    return output + torch.log(1 + torch.exp(output.abs() * scale))


def incident_of(workload: Workload, out: Path, changes: Changes) -> tuple[float, float, int]:
    """Seconds of a healthy step, from the sight of the bad one to the end, and how many experiments were made."""
    training = training_of(workload, clipped=False)
    model, optimizer = training.model, training.optimizer
    entry = next(m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.Embedding))
    out.mkdir()
    record = Record(out=out, journal=Journal(out / "journal.jsonl"), changes=changes)
    guarded = GuardedLoop(Loop(lambda: (model,)), record, stop())
    healthy: list[float] = []
    seen = 0.0
    with suppress(TrainingStopped), redirect_stderr(io.StringIO()), listening(guarded):
        for batch in forever(training.loader):
            begin = time.perf_counter()
            if len(healthy) == NUM_HEALTHY and not seen:
                entry.register_forward_hook(plant)
            optimizer.zero_grad()
            model.loss(tuple(batch)).backward()
            if len(healthy) == NUM_HEALTHY and not seen:
                seen = time.perf_counter()
            optimizer.step()
            if not seen:
                healthy.append(time.perf_counter() - begin)
    took = time.perf_counter() - seen
    assert guarded.incident is not None
    return median(healthy[2:]), took, len(guarded.incident.experiments)


def forever(loader: Sequence[Tensor]):
    """Its batches, again and again."""
    while True:
        yield from loader


def measure(workload: Workload, num_rounds: int, folder: Path) -> Figures:
    """Both kinds of incident take turns."""
    figures = Figures(workload.name)
    for number in range(num_rounds + 1):
        for changes, taken in ((no_changes, figures.to_report), (all_changes, figures.with_experiments)):
            out = folder / f"{workload.name}-{number}-{changes.__name__}"
            step_s, took_s, num = incident_of(workload, out, changes)
            if number == 0:  # the first loads what an incident needs
                continue
            figures.step_ms.append(1e3 * step_s)
            taken.append(took_s / step_s)
            figures.num_experiments = max(figures.num_experiments, num)
    return figures


def table_of(measured: Sequence[Figures]) -> Table:
    """One line per training."""
    table = Table(title="An incident, in steps", header_style="bold")
    for name in ("training", "step, ms", "to the report", "experiments alone", "how many"):
        table.add_column(name, justify="right")
    for each in measured:
        figures = (median(each.step_ms), median(each.to_report), each.experiments)
        table.add_row(each.name, *(f"{figure:.1f}" for figure in figures), str(each.num_experiments))
    return table


def main() -> int:
    """Measure, print the table, and say which budgets are exceeded."""
    parser = argparse.ArgumentParser(description="Measure how long an incident takes.")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of torch; 1 on a busy machine")
    parser.add_argument("--only", nargs="*", default=[], metavar="WORKLOAD", help="names of workloads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        measured = [
            measure(workload, options.rounds, Path(folder))
            for workload in WORKLOADS
            if not options.only or workload.name in options.only
        ]
    Console(width=120).print(table_of(measured))
    over = [each.name for each in measured if each.experiments > BUDGET]
    if over:
        print(f"more than {BUDGET:.0f} steps for the experiments: {', '.join(over)}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
