"""Measures what supervision costs in the loops of Lightning, Accelerate and Transformers, interleaved in one run.

    python bench/frameworks.py [--quick] [--only FRAMEWORK ...] [--threads N] [--seconds S] [--markdown]

Each framework trains one of the workloads of `overhead.py` (steps of 20 ms or more) through its own loop, as its users
write it. In every round the loop, the loop once more, and the loop under evenkeel make a block of steps, in an order
that changes, on the same model and optimizer. The clock runs from the end of a step to the end of a later one, so that
what a framework sets up for each block is outside. A ratio is the median over rounds, with its 95 % bootstrap interval.
The exit status is 1 when evenkeel exceeds its budget by more than the noise of this very run.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from lightning_loop import LightningLoop
from overhead import MARKDOWN_WIDTH, MOST_THREADS, PLAIN_WIDTH, Measured, written
from paired import verdict
from rich.box import HEAVY_HEAD, MARKDOWN
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from turns import FULL, QUICK, Comparison, Plan, take_turns
from variants import BARE, EVENKEEL, TWIN, Variant, guarding
from workloads import MAX_NORM, WORKLOADS, Training, training_of

from evenkeel.guard.guarded import GuardedLoop
from evenkeel.step.hooks import listening, somebody_listens

BUDGET = 1.02
PLAN = replace(FULL, num_steps=5, most_rounds=400)
SECONDS = 60.0
WARM_UP_STEPS = 1
SAME_WORKLOAD = {workload.name: workload for workload in WORKLOADS}


class AccelerateLoop:
    """A loop of its user's own, with everything prepared by Accelerate."""

    def __init__(self, training: Training, _folder: Path) -> None:
        self._accelerator = Accelerator(cpu=True)
        prepared = self._accelerator.prepare(training.model, training.optimizer, training.loader)
        self._model, self._optimizer, self._loader = prepared

    def block(self, num_steps: int) -> float:
        """See `Variant`."""
        ends: list[float] = []
        while len(ends) < num_steps + WARM_UP_STEPS:
            for batch in self._loader:
                self._optimizer.zero_grad()
                self._accelerator.backward(self._model.loss(batch))
                self._accelerator.clip_grad_norm_(self._model.parameters(), MAX_NORM)
                self._optimizer.step()
                ends.append(time.perf_counter())
                if len(ends) == num_steps + WARM_UP_STEPS:
                    break
        return (ends[-1] - ends[WARM_UP_STEPS - 1]) / num_steps


class TransformersLoop:
    """The Trainer, which goes on with one model and optimizer in each of its turns."""

    def __init__(self, training: Training, folder: Path) -> None:
        self._training = training
        self._model = _WithLoss(training.model)
        self._folder = folder

    def block(self, num_steps: int) -> float:
        """See `Variant`."""
        clock = _Clock()
        given = TrainingArguments(
            output_dir=str(self._folder), max_steps=num_steps + WARM_UP_STEPS, use_cpu=True, report_to=[],
            per_device_train_batch_size=self._training.loader.batch_size, logging_strategy="no", save_strategy="no",
            disable_tqdm=True, remove_unused_columns=False,
        )  # fmt: skip
        optimizer = self._training.optimizer
        trainer = Trainer(
            model=self._model,
            args=given,
            train_dataset=_Named(self._training.loader.dataset),
            optimizers=(optimizer, LambdaLR(optimizer, lambda _: 1.0)),
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return (clock.ends[-1] - clock.ends[WARM_UP_STEPS - 1]) / num_steps


class _WithLoss(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, item: Tensor) -> dict[str, Tensor]:
        return {"loss": self.model.loss((item,))}


class _Named(Dataset[dict[str, Tensor]]):
    def __init__(self, rows: Dataset[tuple[Tensor, ...]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"item": self._rows[index][0]}


class _Clock(TrainerCallback):
    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_given: object, **_named: object) -> None:
        self.ends.append(time.perf_counter())


@dataclass(frozen=True)
class Watched:
    """A loop under evenkeel for as long as its turn lasts."""

    loop: Variant
    guarded: GuardedLoop

    def block(self, num_steps: int) -> float:
        """See `Variant`."""
        with listening(self.guarded):
            return self.loop.block(num_steps)


@dataclass(frozen=True)
class Framework:
    """Whose loop, and what it trains."""

    name: str
    workload: str
    loop: Callable[[Training, Path], Variant]


FRAMEWORKS = (
    Framework("Lightning", "U-Net", lambda training, _: LightningLoop(training, detect_anomaly=False)),
    Framework("Accelerate", "MLP-VAE", AccelerateLoop),
    Framework("Transformers", "transformer", TransformersLoop),
)


def measure(framework: Framework, folder: Path, plan: Plan) -> Measured:
    """Let the loop take turns with itself and with itself under evenkeel."""
    workload = replace(SAME_WORKLOAD[framework.workload], name=framework.name, budget_clipped=BUDGET)
    training = training_of(workload, clipped=True)
    loop = framework.loop(training, folder)
    with guarding(training, folder / framework.name) as guarded:
        variants = {BARE: loop, TWIN: loop, EVENKEEL: Watched(loop, guarded)}
        variants[EVENKEEL].block(1)  # it finds the optimizers among all objects, before those are frozen
        gc.collect()
        gc.freeze()
        try:
            rounds = take_turns(variants, plan, random.Random(0))
        finally:
            gc.unfreeze()
        expected = 2 * (1 + WARM_UP_STEPS) + len(rounds.seconds) * (plan.num_steps + WARM_UP_STEPS)
        if guarded.loop.step != expected or somebody_listens():
            raise RuntimeError(f"{framework.name}: evenkeel saw {guarded.loop.step} steps of {expected}, or listens on")
    print(f"{framework.name}: {len(rounds.seconds)} rounds", file=sys.stderr, flush=True)
    return Measured(workload, clipped=True, rounds=rounds)


def table_of(measured: Sequence[Measured], *, judged: bool, markdown: bool) -> Table:
    """One line per framework."""
    table = Table(header_style="bold", box=MARKDOWN if markdown else HEAVY_HEAD)
    for label in ("loop of", "training", "alone, ms", "alone again", "evenkeel", "budget"):
        table.add_column(label, justify="left" if label in ("loop of", "training") else "right")
    for each, framework in ((each, of) for each in measured for of in FRAMEWORKS if of.name == each.workload.name):
        twin, ratio = (each.rounds.ratio(Comparison(name, name)) for name in (TWIN, EVENKEEL))
        said = f" {verdict(ratio, twin, BUDGET)}" if judged else ""
        cells = ("{} ({})".format(*written(one)) for one in (twin, ratio))
        table.add_row(
            framework.name,
            f"{framework.workload}, clipped",
            f"{each.rounds.step_ms():.1f}",
            *cells,
            f"≤ {BUDGET}{said}",
        )
    return table


def main() -> int:
    """Measure, print the table, and say whether the budget is kept."""
    parser = argparse.ArgumentParser(description="Measure what supervision costs in the loops of frameworks.")
    parser.add_argument("--quick", action="store_true", help="two rounds of one step: a smoke run, nothing is judged")
    parser.add_argument("--only", nargs="*", default=[f.name for f in FRAMEWORKS], metavar="FRAMEWORK")
    parser.add_argument("--markdown", action="store_true", help="print the table as bench/RESULTS.md has it")
    parser.add_argument("--threads", type=int, default=min(MOST_THREADS, os.cpu_count() or 1), metavar="N")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="of each framework")
    options = parser.parse_args()
    strangers = set(options.only) - {framework.name for framework in FRAMEWORKS}
    if strangers:
        known = ", ".join(framework.name for framework in FRAMEWORKS)
        raise SystemExit(f"no framework is called {', '.join(sorted(strangers))}; there are {known}")
    if not options.quick:
        torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # advice of the frameworks, at every turn
    with tempfile.TemporaryDirectory() as name:
        plan = QUICK if options.quick else replace(PLAN, seconds=options.seconds)
        chosen = [framework for framework in FRAMEWORKS if framework.name in options.only]
        measured = [measure(framework, Path(name), plan) for framework in chosen]
    width = MARKDOWN_WIDTH if options.markdown else None if sys.stdout.isatty() else PLAIN_WIDTH
    Console(width=width).print(table_of(measured, judged=not options.quick, markdown=options.markdown))
    return 1 if not options.quick and any(each.judged() == "over" for each in measured) else 0


if __name__ == "__main__":
    raise SystemExit(main())
