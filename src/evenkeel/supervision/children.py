"""Other ranks that a framework starts by itself run under evenkeel too.

Lightning's Trainer with several devices starts `python SCRIPT` once more for each of the others. Left alone, these
would train without the guard with which the first rank agrees on every step, and all would wait for ever.
Source: lightning.fabric.strategies.launchers.subprocess_script.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from types import ModuleType
from typing import NoReturn

from evenkeel.core.errors import ProgramRefused
from evenkeel.core.settings import RunSettings
from evenkeel.step.imports import when_imported
from evenkeel.step.patching import patched

_LAUNCHERS = (
    "lightning.fabric.strategies.launchers.subprocess_script",
    "lightning.pytorch.strategies.launchers.subprocess_script",
    "lightning_fabric.strategies.launchers.subprocess_script",
    "pytorch_lightning.strategies.launchers.subprocess_script",
)
_Command = Callable[..., Sequence[str]]


@contextmanager
def children_supervised(settings: RunSettings) -> Iterator[None]:
    """Have each rank that Lightning starts be supervised as this process is, writing into the same directory."""
    with ExitStack() as stack:
        for name in _LAUNCHERS:
            stack.enter_context(when_imported(name, partial(_follow, stack, settings)))
        yield


def _follow(stack: ExitStack, settings: RunSettings, launcher: ModuleType) -> None:
    def supervised(_original: _Command) -> _Command:
        return lambda: [sys.executable, "-m", "evenkeel", "run", *options_of(settings)]

    def refused(_original: _Command) -> _Command:
        return _refuse

    for name, wrap in (("_basic_subprocess_cmd", supervised), ("_hydra_subprocess_cmd", refused)):
        if hasattr(launcher, name):
            stack.enter_context(patched(launcher, name, wrap))


def _refuse(*_: object) -> NoReturn:
    raise ProgramRefused(
        "Lightning starts the other ranks of a program that uses Hydra in a way that cannot be supervised; "
        "start all ranks with torchrun --nproc-per-node N -m evenkeel run --out DIR SCRIPT"
    )


def options_of(settings: RunSettings) -> list[str]:
    """What follows `evenkeel run` for a process that is to be supervised in the same way."""
    flags = {
        "--no-experiments": not settings.experiments,
        "--fix-preview": settings.fix_preview,
        "--no-data": not settings.capsule.keep_data,
        "--zip": settings.capsule.as_zip,
    }
    values: dict[str, object] = {
        "--out": settings.out,
        "--policy": settings.policy.name,
        "--check-parameters-every": settings.check_parameters.n,
        "--max-rerun-minutes": settings.max_rerun_s / 60,
    }
    if settings.policy.name == "skip":
        values["--max-skips"] = settings.policy.at_most
    given = [word for option, value in values.items() for word in (option, str(value))]
    given += [word for log in settings.logs for word in ("--log", f"{log.name}={log.place}")]
    given += [flag for flag, is_set in flags.items() if is_set]
    return [*given, *(["-m"] if settings.as_module else []), settings.target, *settings.arguments]
