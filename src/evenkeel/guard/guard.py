"""`Guard`: what a training loop meets."""

from __future__ import annotations

import atexit
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from torch import nn
from torch.optim import Optimizer

from evenkeel.capsule.surroundings import Beginning
from evenkeel.casefile.changes import gentle_changes, no_changes
from evenkeel.core.errors import TrainingStopped
from evenkeel.core.incident import Incident
from evenkeel.core.settings import EACH_TENTH_STEP, CapsuleWish, Every, Policy, PolicyName, policy_of
from evenkeel.guard.belongings import FirstLook
from evenkeel.guard.capsules import Capsules
from evenkeel.guard.guarded import GuardedLoop
from evenkeel.guard.incidents import Record
from evenkeel.guard.loop import Loop
from evenkeel.guard.together import Together
from evenkeel.journal.writer import Journal, journal_path
from evenkeel.locate.modules import living_roots
from evenkeel.step.hooks import steps_heard
from evenkeel.step.indices import DrawnIndices

Batch = TypeVar("Batch")


class Guard:
    """Watches one training loop; at the first bad number it has the step come again, explains it, and stops.

    Example:
        guard = Guard(model, optimizer)
        for batch in guard.batches(loader):   # the only changed line of the loop
            ...

    Args:
        model: the model, or several, whose parameters and buffers are to be named.
        optimizer: the optimizer, or several, whose updates are guarded; None: every optimizer of the process.
        policy: `stop()` raises `TrainingStopped` where the bad update would have been made; `skip(at_most=3)` leaves
            a bad step out, its incident written, and stops after so many; `observe()` writes the first incident,
            lets the update through as it was, and goes on. The plain names "stop", "skip", "observe" will do.
        check_parameters: after which updates the parameters are read; `every(1)` sees an update that is itself at
            fault at once, `every(n)` at the first bad loss or gradient that comes of it, after n steps at the latest.
        experiments: whether a bad step comes again with one thing changed at a time, to find what mends it.
        capsules: whether a bad step is frozen into `out`, with its batches, for `evenkeel replay`.
        out: an empty or new directory for journal and reports; default `evenkeel-runs/guard-<time>`.

    Cost: see `detect.nonfinite.look`; memory: the batches of one step and one copy of the buffers.
    """

    def __init__(  # noqa: PLR0913  the settings of a loop stand side by side
        self,
        model: nn.Module | Sequence[nn.Module],
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        *,
        policy: Policy | PolicyName = "stop",
        check_parameters: Every = EACH_TENTH_STEP,
        out: Path | str | None = None,
        experiments: bool = True,
        capsules: bool = True,
    ) -> None:
        """Nothing is watched before `batches` is iterated."""
        models = (model,) if isinstance(model, nn.Module) else tuple(model)
        optimizers = (optimizer,) if isinstance(optimizer, Optimizer) else optimizer
        directory = Path(out) if out else Path("evenkeel-runs") / time.strftime("guard-%Y%m%d-%H%M%S")
        directory.mkdir(parents=True, exist_ok=True)
        first_look = FirstLook(lambda: models, living_roots)
        loop = Loop(first_look, check_parameters)
        ranks = Together(lambda: models)
        journal = Journal(journal_path(directory, ranks.rank))
        changes = gentle_changes if experiments else no_changes
        writer = Capsules(loop, first_look, Beginning.of_process(), CapsuleWish()) if capsules else None
        record = Record(out=directory, journal=journal, ranks=ranks, changes=changes, capsules=writer)
        self._core = GuardedLoop(loop, record, policy_of(policy))
        self._core.only = None if optimizers is None else frozenset(id(o) for o in optimizers)
        self._depth = 0
        atexit.register(_finish_quietly, weakref.ref(self._core))

    def finish(self) -> None:
        """The training is over: write the incident of a bad step that the loop did not let come again.

        Called at the end of the process too. Under "stop" it raises `TrainingStopped` when there was one.
        """
        self._core.finish()

    @property
    def incident(self) -> Incident | None:
        """The first incident, when there was one."""
        return self._core.incident

    def batches(self, loader: Iterable[Batch]) -> Iterator[Batch]:
        """Iterate `loader`, handing the same batches out again when a step has to be repeated."""
        source = ("guard", id(loader))
        drawn = DrawnIndices()
        with self._hearing(), drawn.heard():
            iterator = iter(loader)
            while True:
                again = self._core.batch_again(source)
                if again is not None:
                    yield again[0]  # type: ignore[misc]  # it came out of this very loader
                    continue
                try:
                    batch = next(iterator)
                except StopIteration:
                    return
                self._core.batch_handed_out(source, batch, drawn.of_next_batch(iterator))
                yield batch

    @contextmanager
    def _hearing(self) -> Iterator[None]:
        """Hook into torch once, however many loops over batches are nested."""
        with ExitStack() as stack:
            if self._depth == 0:
                stack.enter_context(steps_heard(self._core))
            self._depth += 1
            stack.callback(self._leave)
            yield

    def _leave(self) -> None:
        self._depth -= 1


def _finish_quietly(core: weakref.ref[GuardedLoop]) -> None:
    """At the end of the process, when there is nothing left to stop."""
    alive = core()
    if alive is not None:
        with suppress(TrainingStopped):
            alive.finish()
