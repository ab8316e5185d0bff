"""Trains under msProbe in a process of its own, a block at a time, as asked on stdin; needs `mindstudio-probe`.

    python bench/msprobe_loop.py FOLDER     (FOLDER receives its dumps)

msProbe replaces functions of torch for the life of the process, so no other variant can share one with it. It takes
its turns all the same: it is asked for one block, and everybody else waits.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from msprobe.pytorch import PrecisionDebugger
from workloads import WORKLOADS, Training, training_of


def debugger_writing_to(folder: Path) -> PrecisionDebugger:
    """A debugger with the defaults of msProbe: statistics of every call of a torch function, forward and backward."""
    config = {
        "task": "statistics",
        "dump_path": str(folder / "dumps"),
        "rank": [],
        "step": [],
        "level": "L1",
        "statistics": {"scope": [], "list": [], "data_mode": ["all"], "summary_mode": "statistics"},
    }
    path = folder / "msprobe.json"
    path.write_text(json.dumps(config))
    return PrecisionDebugger(config_path=str(path))


def watched_steps(training: Training, debugger: PrecisionDebugger) -> Iterator[None]:
    """The training loop with the calls that msProbe's manual asks for."""
    steps = training.steps()
    while True:
        debugger.start(model=training.model)
        next(steps)
        debugger.stop()
        debugger.step()
        yield


def seconds_of_a_step(steps: Iterator[None], num_steps: int) -> float:
    """One step to warm up, then `num_steps` under the clock."""
    next(steps)
    start = time.perf_counter()
    for _ in range(num_steps):
        next(steps)
    return (time.perf_counter() - start) / num_steps


def main() -> None:
    """Answer each line {"workload", "clipped", "num_steps", "num_threads"} with a line {"seconds"}."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what msProbe prints goes to the log
    debugger = debugger_writing_to(Path(sys.argv[1]))
    workloads = {workload.name: workload for workload in WORKLOADS}
    loops: dict[tuple[str, bool], Iterator[None]] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        torch.set_num_threads(asked["num_threads"])
        key = (asked["workload"], asked["clipped"])
        if key not in loops:
            loops[key] = watched_steps(training_of(workloads[key[0]], clipped=key[1]), debugger)
        answers.write(json.dumps({"seconds": seconds_of_a_step(loops[key], asked["num_steps"])}) + "\n")


if __name__ == "__main__":
    main()
