"""Measures what it costs to trace a step and to locate the origin of a planted NaN.

    python bench/trace.py [--rounds N] [--threads N] [--only WORKLOAD ...] [--markdown] [--json FILE]

The four trainings of `workloads.py`, one of about 10,000 small operations a step, and one of 100 million parameters;
each in a process of its own. In every round a plain step, a traced step and a traced step with a planted fault take
turns on the same model; a ratio is the median over rounds of a time divided by the plain step's of the same round. The
fault is the logarithm of a negative number in one element of one sample, early in the network, so that nearly all later
tensors are bad. A traced step includes the update; where the fault is planted no update is made, as under the guard.
Memory is the peak of resident memory during each kind of step, less what the process held before it.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.box import HEAVY_HEAD, MARKDOWN
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from workloads import WORKLOADS, Workload, training_of

from evenkeel.core.operation import LeafKind
from evenkeel.locate.modules import Names
from evenkeel.locate.observation import Observation
from evenkeel.locate.origin import Located, locate
from evenkeel.locate.record import storage_of

BUDGET = 10.0  # from detection to origin, in steps
THREADS = 2
PLANTED_SAMPLE = 1
WIDTH = 200
_MIB = 2**20

Step = Callable[[], Tensor]  # zero the gradients, forward, backward; gives the loss


@dataclass
class Subject:
    """A training that is measured: one step at a time, with an entry through which a fault is planted."""

    model: nn.Module
    batch: tuple[Tensor, ...]
    optimizer: torch.optim.Optimizer
    loss: Callable[[tuple[Tensor, ...]], Tensor]
    entry: nn.Module  # its output, of a row per sample, is where the fault is planted

    def step(self) -> Tensor:
        """All of a training step but the update."""
        self.optimizer.zero_grad()
        loss = self.loss(self.batch)
        loss.backward()
        return loss


@dataclass
class Figures:
    """What was measured of one training; seconds by kind of step, one entry a round."""

    name: str
    num_records: int = 0
    num_parameters: int = 0
    plain: list[float] = field(default_factory=list)
    traced: list[float] = field(default_factory=list)
    planted: list[float] = field(default_factory=list)  # the traced step with the fault
    located: list[float] = field(default_factory=list)  # the search that follows it
    peak: dict[str, int] = field(default_factory=dict)  # bytes, by kind of step
    origin: str = ""
    samples: tuple[int, ...] = ()

    def ratio(self, kind: str) -> float:
        """The median of times divided by the plain step's of the same round."""
        times = [a + b for a, b in zip(self.planted, self.located, strict=True)] if kind == "found" else None
        return median(a / b for a, b in zip(times or getattr(self, kind), self.plain, strict=True))


class Chain(nn.Module):
    """Some 10,000 operations a step on small tensors, one after another."""

    def __init__(self, length: int = 1100, width: int = 16) -> None:
        super().__init__()
        self.inward = nn.Linear(width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.9))
        self.length = length

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        (x,) = batch
        y = self.inward(x)
        for _ in range(self.length):
            y = torch.tanh(y * self.scale) + x
        return y.square().mean()


class Wide(nn.Module):
    """100 million parameters in six layers."""

    def __init__(self, width: int = 4096, layers: int = 6) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(width, width) for _ in range(layers)))

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        (x,) = batch
        for layer in self.layers:
            x = layer(x).relu()
        return x.square().mean()


def _rows(width: int, num: int) -> Callable[[int], tuple[Tensor, ...]]:
    return lambda _: (torch.randn(num, width),)


SYNTHETIC = (
    Workload("10,000 operations", Chain, _rows(16, 32), 32, 0.0, 0.0),
    Workload("1e8 parameters", Wide, _rows(4096, 32), 32, 0.0, 0.0),
)
ALL = (*WORKLOADS, *SYNTHETIC)


def subject_of(workload: Workload) -> Subject:
    """The training of a workload, with one batch for all its steps."""
    if workload in SYNTHETIC:
        torch.manual_seed(0)
        model = workload.build()
        optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
        batch = workload.data(0)
    else:
        training = training_of(workload, clipped=False)
        model, optimizer, batch = training.model, training.optimizer, tuple(next(iter(training.loader)))
    entry = next(m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.Embedding))
    return Subject(model, batch, optimizer, model.loss, entry)


def plant(_module: nn.Module, _given: object, output: Tensor) -> Tensor:
    """Add the logarithm of something that is negative in one element of one sample."""
    ones = torch.ones_like(output)
    ones[PLANTED_SAMPLE].view(-1)[0] = -1  # no infinity: a rectifier would absorb it
    return output + torch.log(ones)


def plain(subject: Subject) -> float:
    """Seconds of a step, update included."""
    begin = time.perf_counter()
    subject.step()
    subject.optimizer.step()
    return time.perf_counter() - begin


def traced(subject: Subject) -> tuple[float, int]:
    """Seconds of a traced step, update included, and the number of its operations."""
    observation = Observation(Names([subject.model]))
    begin = time.perf_counter()
    observation.start()
    observation.trace.begin()
    subject.step()
    observation.trace.phase = "optimizer"
    subject.optimizer.step()
    observation.stop()
    return time.perf_counter() - begin, len(observation.trace.records)


def planted(subject: Subject) -> tuple[float, float, Located]:
    """Seconds of a traced step with the fault, of the search for its origin, and what was found."""
    names = Names([subject.model])
    observation = Observation(names)
    handle = subject.entry.register_forward_hook(plant)
    begin = time.perf_counter()
    observation.start()
    observation.trace.begin()
    loss = subject.step()
    observation.stop()
    middle = time.perf_counter()
    handle.remove()
    known: dict[int, tuple[LeafKind, str]] = {storage_of(p): ("parameter", "parameter") for p in names.parameters()}
    known |= {storage_of(t): ("batch", "batch") for t in subject.batch}
    found = locate(observation.trace, [loss.detach()], len(subject.batch[0]), known.get, [subject.batch])
    return middle - begin, time.perf_counter() - middle, found


def peak_of(call: Callable[[], object]) -> int:
    """How much resident memory grows at most while it runs, in bytes; Linux only."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before goes back to the system, or the peak would not show
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":"))


def measure(workload: Workload, num_rounds: int) -> Figures:
    """Let the kinds of step take turns; memory is read in rounds of its own."""
    subject = subject_of(workload)
    figures = Figures(workload.name, num_parameters=sum(p.numel() for p in subject.model.parameters()))
    for _ in range(2):  # memory pools fill, kernels are chosen
        plain(subject)
    figures.peak = {
        "plain": peak_of(lambda: plain(subject)),
        "traced": peak_of(lambda: traced(subject)),
        "planted": peak_of(lambda: planted(subject)),
    }
    for _ in range(num_rounds):
        figures.plain.append(plain(subject))
        seconds, figures.num_records = traced(subject)
        figures.traced.append(seconds)
        step_s, locate_s, found = planted(subject)
        figures.planted.append(step_s)
        figures.located.append(locate_s)
    origin = found.origin
    assert origin is not None
    figures.origin, figures.samples = origin.operation.function, origin.samples
    return figures


def in_child(workload: Workload, num_rounds: int, num_threads: int) -> Figures:
    """Measure in a process of its own, so that its memory is its own."""
    settings = ["--rounds", str(num_rounds), "--threads", str(num_threads)]
    command = [sys.executable, __file__, "--child", workload.name, *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{workload.name}: {done.stderr.strip()[-2000:]}")
    given: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{workload.name}: {num_rounds} rounds", file=sys.stderr, flush=True)
    return Figures(**given)


def table_of(measured: Sequence[Figures], *, markdown: bool) -> Table:
    """One line per training."""
    title = "A traced step and the search for the origin, as multiples of a plain step"
    table = Table(title=None if markdown else title, header_style="bold", box=MARKDOWN if markdown else HEAVY_HEAD)
    table.add_column("training")
    columns = (
        "operations", "plain, ms", "traced", "traced with the fault", "search", "to the origin",
        "peak, MiB: plain", "traced", "with the fault", "found", "samples",
    )  # fmt: skip
    for name in columns:
        table.add_column(name, justify="right")
    for each in measured:
        table.add_row(each.name, *_cells(each))
    return table


def _cells(each: Figures) -> Iterator[str]:
    yield f"{each.num_records:,}"
    yield f"{1e3 * median(each.plain):.1f}"
    for kind in ("traced", "planted", "located", "found"):
        yield f"{each.ratio(kind):.2f}"
    for kind in ("plain", "traced", "planted"):
        yield f"{each.peak[kind] / _MIB:.0f}"
    yield each.origin
    yield ", ".join(map(str, each.samples)) or "-"


def chosen(only: Sequence[str]) -> tuple[Workload, ...]:
    """The workloads of these names; all when none is given."""
    known = {workload.name.lower(): workload for workload in ALL}
    strangers = sorted({word.lower() for word in only} - set(known))
    if strangers:
        raise SystemExit(f"no workload is called {', '.join(strangers)}; there are {', '.join(known)}")
    return tuple(known[name] for name in known if not only or name in {word.lower() for word in only})


def main() -> int:
    """Measure, print the table, and say which budgets are exceeded."""
    parser = argparse.ArgumentParser(description="Measure what it costs to trace a step and to locate an origin.")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    parser.add_argument("--only", nargs="*", default=[], metavar="WORKLOAD", help="names of workloads")
    parser.add_argument("--markdown", action="store_true", help="print the table as bench/RESULTS.md has it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--threads", type=int, default=THREADS, metavar="N", help="of torch; 1 on a busy machine")
    parser.add_argument("--child", metavar="WORKLOAD", help=argparse.SUPPRESS)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    if options.child:
        (workload,) = chosen([options.child])
        print(json.dumps(asdict(measure(workload, options.rounds))))
        return 0
    measured = [in_child(workload, options.rounds, options.threads) for workload in chosen(options.only)]
    console = Console(width=400 if options.markdown else WIDTH)
    console.print(table_of(measured, markdown=options.markdown))
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in measured], indent=2) + "\n")
    judged = {workload.name for workload in WORKLOADS}  # the others are there to show that they stay usable
    over = [each.name for each in measured if each.name in judged and each.ratio("found") > BUDGET]
    if over:
        console.print(f"more than {BUDGET:.0f} steps from detection to origin: {', '.join(over)}")
    return 1 if over else 0


if __name__ == "__main__":
    raise SystemExit(main())
