"""Measures what supervision costs, beside the bare loop and beside other tools, all interleaved in one run.

    python bench/overhead.py [--quick] [--only WORKLOAD ...] [--markdown] [--json FILE]

Four trainings, each with and without gradient clipping. In every round the bare loop, the bare loop once more, and the
loop under evenkeel make a block of steps, in an order that changes; the other tools join in some of the rounds. A
ratio is the median over rounds of a time divided by the bare loop's time of the same round, with its 95 % bootstrap
interval. The exit status is 1 when evenkeel exceeds a budget by more than the noise of this very run.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from paired import Ratio, Verdict, verdict
from rich.box import HEAVY_HEAD, MARKDOWN
from rich.console import Console
from rich.table import Table
from rivals import MsProbeProcess, absent, msprobe_process, rivals_of
from turns import COMPARISONS, FULL, QUICK, SHORT, Plan, Rounds, take_turns
from variants import EVENKEEL, TWIN, guarding, our_variants
from workloads import WORKLOADS, Workload, training_of

MOST_THREADS = 2  # the budgets were set for two cores
PLAIN_WIDTH = 200  # of a table that goes to a file or a pipe
MARKDOWN_WIDTH = 400  # a line of Markdown must not be broken
TITLE = "Time of a step, as a multiple of the bare loop's: median and 95 % interval"
COLOURS: dict[Verdict, str] = {"kept": "green", "undecided": "yellow", "over": "red"}
ADVICE: dict[Verdict, str] = {"over": "", "undecided": "; too noisy to tell, measure again on a quieter machine"}
LARGE_STEP_MS = 20.0  # the budgets of the larger trainings are set for steps from here on


@dataclass(frozen=True)
class Measured:
    """One training, measured."""

    workload: Workload
    clipped: bool
    rounds: Rounds

    @property
    def name(self) -> str:
        """Such as "U-Net, clipped"."""
        return f"{self.workload.name}, clipped" if self.clipped else self.workload.name

    @property
    def budget(self) -> float:
        """The largest ratio of evenkeel to the bare loop."""
        return self.workload.budget_clipped if self.clipped else self.workload.budget

    def ratios(self) -> dict[str, Ratio | None]:
        """Every comparison under its label."""
        return {comparison.label: self.rounds.ratio(comparison) for comparison in COMPARISONS}

    def judged(self) -> Verdict:
        """Whether evenkeel keeps its budget here."""
        ratios = self.ratios()
        return verdict(ratios[EVENKEEL], ratios[TWIN], self.budget)


def measure(workload: Workload, plan: Plan, folder: Path, home: MsProbeProcess | None, *, clipped: bool) -> Measured:
    """Let all variants of one training take turns."""
    training = training_of(workload, clipped=clipped)
    name = f"{workload.name}-{'clipped' if clipped else 'plain'}"
    with guarding(training, folder / name) as guarded:
        variants = our_variants(training, guarded) | rivals_of(workload, home, clipped=clipped)
        gc.collect()
        gc.freeze()  # the other tools brought 100,000 objects along; no training of its own would look through them
        try:
            rounds = take_turns(variants, plan, random.Random(0))
        finally:
            gc.unfreeze()
        if guarded.loop.step == 0:
            raise RuntimeError(f"{name}: evenkeel saw no step, so its cost was not measured; look at `guarding`")
    measured = Measured(workload, clipped, rounds)
    print(f"{measured.name}: {len(rounds.seconds)} rounds", file=sys.stderr, flush=True)  # it takes minutes in all
    return measured


def table_of(measured: Sequence[Measured], *, judged: bool, markdown: bool) -> Table:
    """One line per training, one column per variant: the ratio and its interval."""
    table = Table(title=None if markdown else TITLE, header_style="bold", box=MARKDOWN if markdown else HEAVY_HEAD)
    table.add_column("training")
    for label in ("bare, ms", *(comparison.label for comparison in COMPARISONS), "evenkeel's budget"):
        table.add_column(label, justify="right", overflow="fold")
    between = " " if markdown else "\n"
    for each in measured:
        parts = [f"≤ {each.budget:.2f}"]
        if judged:
            parts.append(f"[{COLOURS[each.judged()]}]{each.judged()}[/]")
        cells = (between.join(written(ratio)) for ratio in each.ratios().values())
        ends = each.clipped and not markdown
        table.add_row(each.name, f"{each.rounds.step_ms():.1f}", *cells, between.join(parts), end_section=ends)
    return table


def written(ratio: Ratio | None) -> tuple[str, ...]:
    """Such as "1.004" and "1.001–1.008"; "-" where nothing was measured."""
    if ratio is None:
        return ("-",)
    if ratio.num_rounds == 1:
        return f"{ratio.middle:.1f}", "[dim]one round[/]"
    digits = 3 if ratio.middle < 2 else 1
    return f"{ratio.middle:.{digits}f}", f"[dim]{ratio.low:.{digits}f}–{ratio.high:.{digits}f}[/]"


def shortfalls(measured: Sequence[Measured]) -> list[str]:
    """Budgets that were exceeded, or may have been, and steps too short for the budget they are held to."""
    told = []
    for each in measured:
        ratio, twin = each.ratios()[EVENKEEL], each.ratios()[TWIN]
        if each.judged() != "kept":
            told.append(
                f"{each.name}: [{COLOURS[each.judged()]}]{each.judged()}[/]: evenkeel takes {ratio.middle:.4f} times "
                f"the bare loop ({ratio.low:.4f}–{ratio.high:.4f}), the budget is {each.budget:.2f}; "
                f"a second bare loop takes {twin.middle:.4f} times{ADVICE[each.judged()]}"
            )
        if each.workload.is_large and each.rounds.step_ms() < LARGE_STEP_MS:
            told.append(
                f"{each.name}: a step takes less than {LARGE_STEP_MS:.0f} ms here, the budget is for longer ones"
            )
    return told


def status_of(measured: Sequence[Measured]) -> int:
    """The exit status: 1 when a budget is exceeded by more than the noise."""
    return 1 if any(each.judged() == "over" for each in measured) else 0


def unmeasured(measured: Sequence[Measured]) -> dict[str, str]:
    """The tools that could not be run, and why."""
    failures = {name: why for each in measured for name, why in each.rounds.failures.items()}
    return absent() | failures


def machine() -> dict[str, Any]:
    """Where this was measured."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def record(measured: Sequence[Measured]) -> str:
    """All figures as JSON."""
    trainings = [
        {
            "workload": each.workload.name,
            "clipped": each.clipped,
            "step_ms": each.rounds.step_ms(),
            "budget": each.budget,
            "verdict": each.judged(),
            "ratios": {label: asdict(ratio) for label, ratio in each.ratios().items() if ratio is not None},
            "seconds": each.rounds.seconds,
        }
        for each in measured
    ]
    given = {"machine": machine(), "trainings": trainings, "unmeasured": unmeasured(measured)}
    return json.dumps(given, indent=2, allow_nan=False) + "\n"


def chosen(only: Sequence[str]) -> tuple[Workload, ...]:
    """The workloads of these names; all when none is given."""
    known = {workload.name.lower(): workload for workload in WORKLOADS}
    strangers = sorted({word.lower() for word in only} - set(known))
    if strangers:
        raise SystemExit(f"no workload is called {', '.join(strangers)}; there are {', '.join(known)}")
    return tuple(workload for name, workload in known.items() if not only or name in {word.lower() for word in only})


def plan_for(workload: Workload, *, quick: bool) -> Plan:
    """How long its variants take turns."""
    if quick:
        return QUICK
    return FULL if workload.is_large else SHORT


def console_for(*, markdown: bool) -> Console:
    """As wide as the terminal, or as the table needs where there is none."""
    if markdown:
        return Console(width=MARKDOWN_WIDTH)
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def main() -> int:
    """Measure, print the table, and say whether the budgets are kept."""
    parser = argparse.ArgumentParser(description="Measure what supervision costs.")
    parser.add_argument("--quick", action="store_true", help="two rounds of one step: a smoke run, nothing is judged")
    parser.add_argument("--only", nargs="*", default=[], metavar="WORKLOAD", help="names of workloads")
    parser.add_argument("--markdown", action="store_true", help="print the table as bench/RESULTS.md has it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    options = parser.parse_args()

    workloads = chosen(options.only)
    if not options.quick:
        torch.set_num_threads(min(MOST_THREADS, os.cpu_count() or 1))
    console = console_for(markdown=options.markdown)
    with tempfile.TemporaryDirectory() as name, msprobe_process(Path(name) / "msprobe") as home:
        measured = [
            measure(workload, plan_for(workload, quick=options.quick), Path(name), home, clipped=clipped)
            for workload in workloads
            for clipped in (False, True)
        ]
    console.print(table_of(measured, judged=not options.quick, markdown=options.markdown))
    if options.json:
        options.json.write_text(record(measured))
    for name, why in unmeasured(measured).items():
        console.print(f"{name}: {why}")
    if options.quick:
        console.print("a smoke run: too short to judge anything")
        return 0
    for sentence in shortfalls(measured):
        console.print(sentence)
    return status_of(measured)


if __name__ == "__main__":
    raise SystemExit(main())
