"""Run a program, or what it gives a process that it spawned, with a guard on every loop in it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from torch.multiprocessing.spawn import ProcessExitedException

from evenkeel.capsule.surroundings import Beginning
from evenkeel.casefile.changes import Changes, all_changes, gentle_changes, no_changes
from evenkeel.core.errors import STOPPED_STATUS, USAGE_STATUS, ProgramRefused, TrainingStopped
from evenkeel.core.events import RunEnded, RunStarted
from evenkeel.core.settings import RunSettings
from evenkeel.guard.belongings import FirstLook
from evenkeel.guard.capsules import Capsules
from evenkeel.guard.elsewhere import Elsewhere
from evenkeel.guard.guarded import GuardedLoop
from evenkeel.guard.incidents import Record
from evenkeel.guard.loop import Loop
from evenkeel.guard.together import Together
from evenkeel.journal.writer import Journal, journal_path
from evenkeel.locate.modules import living_roots
from evenkeel.program import exit_status, without_our_frames
from evenkeel.report.logger import IncidentLogger
from evenkeel.step.hooks import listening, optimizers_heard
from evenkeel.supervision.children import children_supervised
from evenkeel.supervision.nan_filter import filter_reported

Program = Callable[[], object]


def watched(
    program: Program,
    settings: RunSettings,
    loggers: Sequence[IncidentLogger],
    *,
    rank: int,
    elsewhere: Elsewhere | None = None,
) -> tuple[int, int]:
    """Call `program`. Returns: its exit status, and how many updates it made.

    `elsewhere` repeats a step that the program's own loop cannot; None where the process is one of several.
    The status is 3 when it was stopped on an incident, here or in a process that it spawned; 2 when it does what
    cannot be supervised.
    """
    ranks = Together(living_roots)
    first_look = FirstLook(living_roots, living_roots)
    loop = Loop(first_look, settings.check_parameters)
    with Journal(journal_path(settings.out, rank)) as journal:
        record = Record(
            out=settings.out,
            journal=journal,
            ranks=ranks,
            command=settings.command,
            elsewhere=elsewhere,
            changes=_changes(settings),
            fix_preview=settings.fix_preview,
            capsules=Capsules(loop, first_look, Beginning.of_run(settings), settings.capsule),
            loggers=loggers,
        )
        guarded = GuardedLoop(loop, record, settings.policy)
        journal.write(RunStarted(command=settings.command, time_s=time.time(), rank=rank))
        status = 1  # what Python ends with when the program raises
        try:
            status = _outcome(program, settings, guarded)
        finally:
            ranks.close()
            journal.write(RunEnded(num_steps=guarded.loop.step, status=status, time_s=time.time()))
    return status, guarded.loop.step


def _changes(settings: RunSettings) -> Changes:
    """A program that is stopped anyway may be asked to bear more than one that goes on."""
    if not settings.experiments:
        return no_changes
    return all_changes if settings.policy.name == "stop" else gentle_changes


def _outcome(program: Program, settings: RunSettings, guarded: GuardedLoop) -> int:
    try:
        with (
            children_supervised(settings),
            filter_reported(),
            listening(guarded),
            optimizers_heard(guarded.optimizer_made),
        ):
            status = _status_of(program, guarded)
            guarded.finish()
    except TrainingStopped as stop:
        return exit_status(stop)
    return status


def _status_of(program: Program, guarded: GuardedLoop) -> int:
    try:
        program()
    except TrainingStopped:
        raise
    except ProgramRefused as refused:
        print(f"evenkeel: {refused}", file=sys.stderr)  # noqa: T201  a sentence for the person at the terminal
        return USAGE_STATUS
    except SystemExit as stop:
        return exit_status(stop)
    except BaseException as error:
        if isinstance(error, ProcessExitedException) and error.exit_code == STOPPED_STATUS:
            return STOPPED_STATUS  # evenkeel stopped a process that the program spawned, and has said so
        guarded.finish(f"the program raised {type(error).__name__} ({str(error).partition(chr(10))[0]})")
        sys.excepthook = without_our_frames(sys.excepthook)
        raise
    return 0
