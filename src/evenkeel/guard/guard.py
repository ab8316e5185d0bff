"""`Guard`: what a training loop meets."""

from __future__ import annotations

import atexit
import logging
import math
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from torch import nn
from torch.optim import Optimizer
from typing_extensions import TypedDict, Unpack

from evenkeel.capsule.surroundings import Beginning
from evenkeel.casefile.changes import gentle_changes, no_changes
from evenkeel.core.errors import TrainingStopped, UsageError
from evenkeel.core.events import StepBad
from evenkeel.core.incident import Incident
from evenkeel.core.settings import EACH_TENTH_STEP, CapsuleWish, Every, Policy, PolicyName, policy_of
from evenkeel.guard.belongings import FirstLook
from evenkeel.guard.calls import Calls
from evenkeel.guard.capsules import Capsules
from evenkeel.guard.guarded import GuardedLoop
from evenkeel.guard.incidents import Record
from evenkeel.guard.loop import Loop
from evenkeel.guard.together import Together
from evenkeel.journal.writer import Journal, journal_path
from evenkeel.locate.modules import living_roots
from evenkeel.report.logger import IncidentLogger
from evenkeel.step.hooks import all_is_heard, listening, steps_heard
from evenkeel.step.indices import DrawnIndices

Batch = TypeVar("Batch")
Result = TypeVar("Result")
LOG = logging.getLogger("evenkeel")


class Guard:
    """Watches one training loop; at the first bad number it has the step come again, explains it, and stops.

    Example:
        guard = Guard(model, optimizer)
        for batch in guard.batches(loader):   # the only changed line of the loop
            ...
        loss = guard.step(train_on, batch)    # or this, where the loop is somebody else's

    Args:
        model: the model, or several, whose parameters and buffers are to be named; None: every one of the process.
        optimizer: the optimizer, or several, whose updates are guarded; None: every optimizer of the process.
        policy: `stop()` raises `TrainingStopped` where the bad update would have been made; `skip(at_most=3)` leaves
            a bad step out, its incident written, and stops after so many; `observe()` writes the first incident,
            lets the update through as it was, and goes on. The plain names "stop", "skip", "observe" will do.
        check_parameters: after which updates the parameters are read; `every(1)` sees an update that is itself at
            fault at once, `every(n)` at the first bad loss or gradient that comes of it, after n steps at the latest.
        experiments: whether a bad step comes again with one thing changed at a time, to find what mends it.
        capsules: whether a bad step is frozen into `out`, with its batches, for `evenkeel replay`.
        loggers: who else is told of incidents; see `evenkeel.integrations.loggers`.
        out: an empty or new directory for journal and reports; default `evenkeel-runs/guard-<time>`.

    Cost: see `detect.nonfinite.look`; memory: the batches of one step and one copy of the buffers.
    """

    def __init__(  # noqa: PLR0913  the settings of a loop stand side by side
        self,
        model: nn.Module | Sequence[nn.Module] | None = None,
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        *,
        policy: Policy | PolicyName = "stop",
        check_parameters: Every = EACH_TENTH_STEP,
        out: Path | str | None = None,
        experiments: bool = True,
        capsules: bool = True,
        loggers: Sequence[IncidentLogger] = (),
    ) -> None:
        """Nothing is watched before `batches` is iterated or `step` is called."""
        models = _finding(model)
        optimizers = (optimizer,) if isinstance(optimizer, Optimizer) else optimizer
        directory = Path(out) if out else Path("evenkeel-runs") / time.strftime("guard-%Y%m%d-%H%M%S")
        directory.mkdir(parents=True, exist_ok=True)
        first_look = FirstLook(models, living_roots)
        loop = Loop(first_look, check_parameters)
        ranks = Together(models)
        self._journal = journal = Journal(journal_path(directory, ranks.rank))
        changes = gentle_changes if experiments else no_changes
        writer = Capsules(loop, first_look, Beginning.of_process(), CapsuleWish()) if capsules else None
        record = Record(out=directory, journal=journal, ranks=ranks, changes=changes, capsules=writer, loggers=loggers)
        self._core = GuardedLoop(loop, record, policy_of(policy))
        self._core.only = None if optimizers is None else frozenset(id(o) for o in optimizers)
        self._calls = Calls(self._core)
        self._depth = 0
        atexit.register(_finish_quietly, weakref.ref(self._core))

    def finish(self) -> None:
        """The training is over: write the incident of a bad step that the loop did not let come again.

        Nothing is heard any more until the next `batches` or `step`. Called at the end of the process too. Under "stop"
        it raises `TrainingStopped` when there was such a step.
        """
        self._calls.end()
        self._core.finish()

    def metric(self, name: str, value: float) -> None:
        """Note a value that the program judges itself by; one that is not finite is written to the journal and logged.

        No step is at fault then, so nothing is stopped.
        """
        if not math.isfinite(value):
            step = self._core.loop.step
            self._journal.write(StepBad(step=step, kind="metric", name=name))
            self._journal.flush()
            LOG.warning("%s is %s after %d updates: nothing can be ranked by it", name, value, step)

    @property
    def incident(self) -> Incident | None:
        """The first incident, when there was one."""
        return self._core.incident

    def batches(self, loader: Iterable[Batch]) -> Iterator[Batch]:
        """Iterate `loader`, handing the same batches out again when a step has to be repeated.

        Under `evenkeel run`, and inside `supervise()`, every loop is watched already, by the policy given there: then
        this one stands aside, and its `incident` stays None.
        """
        if self._stands_aside():
            yield from loader
            return
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

    def step(self, fn: Callable[[Batch], Result], batch: Batch) -> Result:
        """Call `fn(batch)`, which makes one step: forward, backward, update; call it again when the step was bad.

        For loops that cannot be written over `batches`. All calls together are one loop, whose steps are counted on;
        several functions may take turns (a discriminator, a generator). What is heard in between counts too, until
        `finish` is called or the guard is gone. An update that several calls lead up to (accumulation) comes again
        through all of them, so `fn` has to know by itself when to make it; else give all its batches at once.
        Elements of the data set are not named, because the batch was fetched before anybody listened.

        Example:
            def train_on(batch):
                loss = loss_fn(model(batch.x), batch.y)
                optimizer.zero_grad(); loss.backward(); optimizer.step()
                return loss.detach()

            loss = guard.step(train_on, batch)

        Returns: what `fn` returned: of the call whose update was made; of a step that was left out, what its first
            call returned, bad as it is.

        Raises:
            TrainingStopped: the step was bad, and the policy says so.
            UsageError: called inside a loop over `batches`, whose batches come again already.

        Cost: that of `batches`, and a few microseconds.
        """
        if self._depth:
            raise UsageError("guard.step inside a loop over guard.batches: give the batch to one of the two, not both")
        if self._stands_aside():
            return fn(batch)
        return self._calls.step(fn, batch)

    @contextmanager
    def loops(self) -> Iterator[Guard]:
        """Watch every loop over a `DataLoader`, as `evenkeel run` does, while the context lasts.

        For code whose loop is somebody else's: a framework's trainer, the cell of a notebook. Not together with
        `batches`. At the end of the context the training is over, as `finish` says.
        """
        with listening(self._core):
            try:
                yield self
            except TrainingStopped:
                raise
            except BaseException as error:
                self._core.finish(f"the training raised {type(error).__name__}")
                raise
        self.finish()

    def _stands_aside(self) -> bool:
        """Whether another one watches all loops; a second one would have each bad step come again as well."""
        return self._depth == 0 and not self._calls.are_heard and all_is_heard()

    @contextmanager
    def _hearing(self) -> Iterator[None]:
        """Hook into torch once, however many loops over batches are nested."""
        with ExitStack() as stack:
            if self._depth == 0 and not self._calls.are_heard:
                stack.enter_context(steps_heard(self._core))
            self._depth += 1
            stack.callback(self._leave)
            yield

    def _leave(self) -> None:
        self._depth -= 1


class GuardSettings(TypedDict, total=False):
    """What a `Guard` takes beside model and optimizer, for those who make one."""

    policy: Policy | PolicyName
    check_parameters: Every
    out: Path | str | None
    experiments: bool
    capsules: bool
    loggers: Sequence[IncidentLogger]


@contextmanager
def supervise(**settings: Unpack[GuardSettings]) -> Iterator[Guard]:
    """Watch every training loop that runs while the context lasts; for settings see `Guard`.

    Example:
        with evenkeel.supervise():
            trainer.fit(model)

    Raises:
        TrainingStopped: a step was bad; its report was written.
    """
    guard = Guard(**settings)
    with guard.loops():
        yield guard


def _finding(model: nn.Module | Sequence[nn.Module] | None) -> Callable[[], tuple[nn.Module, ...]]:
    if model is None:
        return living_roots
    models = (model,) if isinstance(model, nn.Module) else tuple(model)
    return lambda: models


def _finish_quietly(core: weakref.ref[GuardedLoop]) -> None:
    """At the end of the process, when there is nothing left to stop."""
    alive = core()
    if alive is not None:
        with suppress(TrainingStopped):
            alive.finish()
