"""Supervise an unmodified script: run it as `__main__` with a guard on every loop in it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from evenkeel.core.errors import NOTHING_SUPERVISED_STATUS
from evenkeel.core.settings import RunSettings
from evenkeel.dist.launch import launched
from evenkeel.program import run_as_main
from evenkeel.report.logger import IncidentLogger
from evenkeel.rerun.rerun import Rerun
from evenkeel.supervision.spawned import spawned_supervised
from evenkeel.supervision.watched import watched

_NOTHING = (
    "evenkeel: {} ended without computing a gradient or calling optimizer.step(), so nothing was supervised. "
    "Give the script that trains."
)


def supervise(settings: RunSettings, loggers: Sequence[IncidentLogger] = ()) -> int:
    """Run the program and return the exit status of the process; `loggers` are told of incidents too.

    That is the program's own; 3 when it was stopped on an incident; 4 when it ended well without ever calling
    `optimizer.step()`, here or in a process that it spawned. The program's output is left alone; a report goes to
    stderr.
    """
    settings.out.mkdir(parents=True, exist_ok=True)
    world = launched()
    program = partial(run_as_main, settings.target, settings.arguments, as_module=settings.as_module)
    with spawned_supervised(settings, loggers) as spawned:
        elsewhere = Rerun(settings) if world.size == 1 else None
        status, num_steps = watched(program, settings, loggers, rank=world.rank, elsewhere=elsewhere)
    if status == 0 and num_steps == 0 and not spawned:
        print(_NOTHING.format(settings.target), file=sys.stderr)  # noqa: T201  a sentence for the person at the terminal
        return NOTHING_SUPERVISED_STATUS
    return status
