"""Put one stretch of the running program under the trace, and take it off again."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from typing import Literal

import torch

from evenkeel.locate.modules import Names, RunningModule
from evenkeel.locate.summands import Summands
from evenkeel.locate.trace import Trace

_HOOKS_AND_COMPILE = r"Using `torch\.compile\(module\)` when there are global hooks"  # the hooks are ours, for one step


Stance = Literal["force_eager", "default"]  # of torch.compile


class Observation:
    """A trace that is on between `start` and `stop`, with the modules followed.

    Compiled regions run eagerly under the stance "force_eager". Under "default" they run compiled, and the trace sees
    what a backend hands to torch; of code that a backend generates itself it sees nothing.

    It is no `with` block, because it begins and ends inside hooks, between which the user's own code runs.
    """

    def __init__(self, names: Names, stance: Stance = "force_eager") -> None:
        """Prepare; nothing is observed yet."""
        self._stance = stance
        running = RunningModule(names)
        self.trace = Trace(running.path)
        self.summands = Summands(self.trace)
        self._running = running
        self._stack = ExitStack()

    def start(self) -> None:
        """Enter the dispatch mode in this thread; recording begins with `begin()`."""
        self._stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message=_HOOKS_AND_COMPILE)
        self._stack.enter_context(self._running.following())
        self._stack.enter_context(torch.compiler.set_stance(self._stance))
        self._stack.enter_context(self.trace)

    def begin(self) -> None:
        """The step begins here: forget what came before."""
        self.trace.begin()
        self.summands.clear()

    def stop(self) -> None:
        """Leave the mode; the records stay. Stopping twice does nothing."""
        self.trace.active = False
        self._stack.close()


def compiled_code_ran() -> bool:
    """Whether torch.compile has compiled anything in this process."""
    return bool(torch._dynamo.utils.counters["stats"]["unique_graphs"])
