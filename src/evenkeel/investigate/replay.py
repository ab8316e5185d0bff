"""`evenkeel replay`: the program of a capsule runs until the captured step comes again, and the two are compared."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from rich.console import Console

from evenkeel.capsule.manifest import Begin
from evenkeel.capsule.refused import CapsuleRefused
from evenkeel.capsule.thaw import Capsule, thaw
from evenkeel.core.errors import STOPPED_STATUS, USAGE_STATUS, TrainingStopped, UsageError
from evenkeel.core.incident import Incident
from evenkeel.core.settings import ReplaySettings
from evenkeel.dist.launch import launched
from evenkeel.guard.loop import Loop
from evenkeel.investigate.changes import change_named, changes_for, only_live
from evenkeel.investigate.following import Following
from evenkeel.investigate.from_start import FromStart
from evenkeel.investigate.here import ProgramHere, at_home, differences, program_here
from evenkeel.investigate.staging import Staging
from evenkeel.investigate.telling import tell_contents, tell_differences, tell_plan, tell_verdict
from evenkeel.investigate.verdict import Verdict
from evenkeel.locate.modules import living_roots
from evenkeel.program import exit_status, run_as_main, without_our_frames
from evenkeel.report.as_json import from_json
from evenkeel.step.hooks import listening


def replay(settings: ReplaySettings) -> int:
    """Run the captured step again and return the exit status of the process.

    That is 3 when the step failed again, 0 when it did not, and 2 when the capsule was refused, its program is not
    here, or its step did not come. Everything that is said goes to stderr; stdout is the program's.
    """
    try:
        return _replay(settings, Console(file=sys.stderr))
    except UsageError as error:
        sys.stderr.write(f"evenkeel: {error}\n")
        return USAGE_STATUS


def _replay(settings: ReplaySettings, console: Console) -> int:
    capsule, incident = opened(settings.capsule)
    if settings.only_list:
        tell_contents(capsule, incident, changes_for(incident), only_live(incident), console)
        return 0
    if settings.change is not None:
        change_named(settings.change, incident)  # refused before the program is looked for
    begin = _begin(capsule, settings)
    program = program_here(capsule.manifest.program, settings)
    home = at_home(incident, capsule.manifest.program, program)
    change = None if settings.change is None else change_named(settings.change, home)
    tell_plan(capsule, program, begin, console)
    _settle_in(capsule, program, begin)
    loop = Loop(living_roots)
    stage = Staging(loop, capsule, change) if begin == "state" else FromStart(loop, capsule.manifest.seen)
    verdict = _verdict(program, loop, stage)
    tell_verdict(capsule, incident, verdict, console)
    if verdict.outcome != "same bits" and change is None:
        tell_differences(differences(capsule.manifest, program), console)
    return 0 if verdict.outcome == "gone" else STOPPED_STATUS


def opened(path: Path) -> tuple[Capsule, Incident]:
    """A capsule and the incident in it, both checked.

    Raises:
        CapsuleRefused: one of them is not what it should be.
    """
    capsule = thaw(path)
    try:
        return capsule, from_json(capsule.incident)
    except (UsageError, RecursionError) as error:
        raise CapsuleRefused(f"its case.json is no incident: {error}") from error


def _begin(capsule: Capsule, settings: ReplaySettings) -> Begin:
    """From its state, or from the start of the program; refused where that cannot be."""
    manifest = capsule.manifest
    begin = settings.begin or manifest.begin
    if manifest.world_size != launched().size:
        raise UsageError(
            f"the capsule is of rank {manifest.rank} of {manifest.world_size}; a replay runs on as many ranks, and "
            f"this is a program of {launched().size}"
        )
    if begin == "state" and not capsule.model:
        raise UsageError(f"the capsule holds no state to begin with ({manifest.why}); leave out --from state")
    if begin == "state" and any(missing.why.endswith("--no-data") for missing in manifest.missing):
        raise UsageError("the capsule holds no batches (--no-data), so the step comes only with --from start")
    if begin == "start" and settings.change is not None:
        raise UsageError(
            f"--with changes a step that begins with the captured state; this one comes from the start of the program "
            f"({manifest.why or '--from start'})"
        )
    return begin


def _settle_in(capsule: Capsule, program: ProgramHere, begin: Begin) -> None:
    """Directory, environment, threads and, for a run from the start, the random states that it began with."""
    os.chdir(program.cwd)
    os.environ["EVENKEEL_RERUN"] = "1"
    if 1 <= capsule.manifest.num_threads <= (os.cpu_count() or 1):
        torch.set_num_threads(capsule.manifest.num_threads)
    if begin == "start" and capsule.random_at_start is not None:
        capsule.random_at_start.restore()


def _verdict(program: ProgramHere, loop: Loop, stage: Staging | FromStart) -> Verdict:
    """Run the program until the stage has one.

    Raises:
        UsageError: it has none.
    """
    ended = "it ended"
    following = Following(loop, stage)
    try:
        with listening(following):
            run_as_main(program.target, program.arguments, as_module=program.as_module)
            following.end_by_hand()
    except TrainingStopped:
        pass
    except SystemExit as stop:
        ended = f"it exited with status {exit_status(stop)}"
    except BaseException:
        sys.excepthook = without_our_frames(sys.excepthook)
        raise
    if stage.refusal is not None:
        raise stage.refusal
    if stage.verdict is None:
        raise UsageError(
            f"the captured step did not come: {ended} after {loop.step} updates. "
            "Is it the program as it was, with the same arguments and data?"
        )
    return stage.verdict
