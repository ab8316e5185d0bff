"""Supervise an unmodified script: run it as `__main__` with a guard on every loop in it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from evenkeel.capsule.surroundings import Beginning
from evenkeel.casefile.changes import Changes, all_changes, gentle_changes, no_changes
from evenkeel.core.errors import NOTHING_SUPERVISED_STATUS, TrainingStopped
from evenkeel.core.events import RunEnded, RunStarted
from evenkeel.core.settings import RunSettings
from evenkeel.dist.launch import launched
from evenkeel.guard.belongings import FirstLook
from evenkeel.guard.capsules import Capsules
from evenkeel.guard.guarded import GuardedLoop
from evenkeel.guard.incidents import Record
from evenkeel.guard.loop import Loop
from evenkeel.guard.together import Together
from evenkeel.journal.writer import Journal, journal_path
from evenkeel.locate.modules import living_roots
from evenkeel.program import exit_status, run_as_main, without_our_frames
from evenkeel.report.logger import IncidentLogger
from evenkeel.rerun.rerun import Rerun
from evenkeel.step.hooks import listening, optimizers_heard
from evenkeel.supervision.children import children_supervised
from evenkeel.supervision.nan_filter import filter_reported


def supervise(settings: RunSettings, loggers: Sequence[IncidentLogger] = ()) -> int:
    """Run the program and return the exit status of the process; `loggers` are told of incidents too.

    That is the program's own; 3 when it was stopped on an incident; 4 when it ended well without ever calling
    `optimizer.step()`. The program's output is left alone; a report goes to stderr.
    """
    settings.out.mkdir(parents=True, exist_ok=True)
    started = launched()
    ranks = Together(living_roots)
    first_look = FirstLook(living_roots, living_roots)
    loop = Loop(first_look, settings.check_parameters)
    with Journal(journal_path(settings.out, started.rank)) as journal:
        record = Record(
            out=settings.out,
            journal=journal,
            ranks=ranks,
            command=settings.command,
            elsewhere=Rerun(settings) if started.size == 1 else None,
            changes=_changes(settings),
            fix_preview=settings.fix_preview,
            capsules=Capsules(loop, first_look, Beginning.of_run(settings), settings.capsule),
            loggers=loggers,
        )
        guarded = GuardedLoop(loop, record, settings.policy)
        journal.write(RunStarted(command=settings.command, time_s=time.time(), rank=started.rank))
        status = 1  # what Python ends with when the program raises
        try:
            status = _outcome(settings, guarded)
        finally:
            ranks.close()
            journal.write(RunEnded(num_steps=guarded.loop.step, status=status, time_s=time.time()))
    if status == 0 and guarded.loop.step == 0:
        print(_NOTHING.format(settings.target), file=sys.stderr)  # noqa: T201  a sentence for the person at the terminal
        return NOTHING_SUPERVISED_STATUS
    return status


def _changes(settings: RunSettings) -> Changes:
    """A program that is stopped anyway may be asked to bear more than one that goes on."""
    if not settings.experiments:
        return no_changes
    return all_changes if settings.policy.name == "stop" else gentle_changes


_NOTHING = (
    "evenkeel: {} ended without computing a gradient or calling optimizer.step(), so nothing was supervised. "
    "Give the script that trains."
)


def _outcome(settings: RunSettings, guarded: GuardedLoop) -> int:
    try:
        with (
            children_supervised(settings),
            filter_reported(),
            listening(guarded),
            optimizers_heard(guarded.optimizer_made),
        ):
            status = _program(settings, guarded)
            guarded.finish()
    except TrainingStopped as stop:
        return exit_status(stop)
    return status


def _program(settings: RunSettings, guarded: GuardedLoop) -> int:
    try:
        run_as_main(settings.target, settings.arguments, as_module=settings.as_module)
    except TrainingStopped:
        raise
    except SystemExit as stop:
        return exit_status(stop)
    except BaseException as error:
        guarded.finish(f"the program raised {type(error).__name__} ({str(error).partition(chr(10))[0]})")
        sys.excepthook = without_our_frames(sys.excepthook)
        raise
    return 0
