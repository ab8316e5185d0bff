"""Processes that a program spawns as its ranks run under evenkeel too.

`torch.multiprocessing.spawn` and `start_processes` give each process a function and its number; Lightning's `ddp_spawn`
starts its ranks so. Left alone they would train unguarded, and the run would end as one in which nothing was trained.
A process that is forked has the guard of the one it was forked from, journal included, and stays as it is.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch.multiprocessing

from evenkeel.core.settings import RunSettings
from evenkeel.report.logger import IncidentLogger
from evenkeel.step.patching import patched
from evenkeel.supervision.watched import watched


@dataclass(frozen=True, slots=True)
class Spawned:
    """What a spawned process calls in the place of the program's function: the same under a guard."""

    function: Callable[..., object]
    settings: RunSettings
    loggers: tuple[IncidentLogger, ...]

    def __call__(self, number: int, *arguments: object) -> None:
        """Run the function in the process of this number, and end the process with 3 where it was stopped."""
        program = partial(self.function, number, *arguments)
        status, _ = watched(program, self.settings, self.loggers, rank=number)
        if status != 0:
            sys.exit(status)


@contextmanager
def spawned_supervised(settings: RunSettings, loggers: Sequence[IncidentLogger]) -> Iterator[list[Spawned]]:
    """Supervise what is spawned while the context lasts; the list holds what was."""
    spawned: list[Spawned] = []

    def supervised(original: Callable[..., Any]) -> Callable[..., Any]:
        names = inspect.signature(original)

        def start_processes(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  the signature is torch's
            given = names.bind(*args, **kwargs)
            function = Spawned(given.arguments["fn"], settings, tuple(loggers))
            spawned.append(function)
            if given.arguments.get("start_method") != "fork":
                given.arguments["fn"] = function
            return original(*given.args, **given.kwargs)

        return start_processes

    module = importlib.import_module("torch.multiprocessing.spawn")  # the function of that name hides it
    with (
        patched(module, "start_processes", supervised),
        patched(torch.multiprocessing, "start_processes", supervised),
    ):
        yield spawned
