"""`Guard`: what a training loop meets."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from torch import Tensor, nn
from torch.optim import Optimizer

from evenkeel.casefile import Replay, incident_of
from evenkeel.core.errors import TrainingStopped
from evenkeel.core.events import Replayed, StepBad
from evenkeel.core.incident import Incident
from evenkeel.core.settings import Policy
from evenkeel.detect.nonfinite import Sighting
from evenkeel.guard.loop import Loop
from evenkeel.guard.replaying import Replaying
from evenkeel.guard.watching import Noting, Watching
from evenkeel.journal.writer import Journal, journal_path
from evenkeel.report import as_text
from evenkeel.report.write import write
from evenkeel.step.hooks import losses_heard, updates_heard

Batch = TypeVar("Batch")
Elsewhere = Callable[[int, Sighting], Incident | str]  # repeats a step that the loop could not; or says why not


class Guard:
    """Watches one training loop; at the first bad number it has the step come again, explains it, and stops.

    Example:
        guard = Guard(model, optimizer)
        for batch in guard.batches(loader):   # the only changed line of the loop
            ...

    Args:
        model: the model, or several, whose parameters and buffers are to be named.
        optimizer: the optimizer, or several, whose updates are guarded; None: every optimizer of the process.
        policy: "stop" raises `TrainingStopped` where the bad update would have been made; "observe" writes the
            first incident, lets the update through as it was, and goes on.
        out: an empty or new directory for journal and reports; default `evenkeel-runs/guard-<time>`.

    Cost: see `detect.nonfinite.look`; memory: the batches of one step and one copy of the buffers.
    """

    def __init__(
        self,
        model: nn.Module | Sequence[nn.Module],
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        *,
        policy: Policy = "stop",
        out: Path | str | None = None,
    ) -> None:
        """Nothing is watched before `batches` is iterated."""
        models = (model,) if isinstance(model, nn.Module) else tuple(model)
        optimizers = (optimizer,) if isinstance(optimizer, Optimizer) else optimizer
        directory = Path(out) if out else Path("evenkeel-runs") / time.strftime("guard-%Y%m%d-%H%M%S")
        directory.mkdir(parents=True, exist_ok=True)
        self._core = GuardedLoop(Loop(lambda: models), Journal(journal_path(directory)), directory, policy)
        self._core.only = None if optimizers is None else frozenset(id(o) for o in optimizers)
        self._depth = 0

    @property
    def incident(self) -> Incident | None:
        """The first incident, when there was one."""
        return self._core.incident

    def batches(self, loader: Iterable[Batch]) -> Iterator[Batch]:
        """Iterate `loader`, handing the same batches out again when a step has to be repeated."""
        source = ("guard", id(loader))
        with self._hearing():
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
                self._core.batch_handed_out(source, batch)
                yield batch

    @contextmanager
    def _hearing(self) -> Iterator[None]:
        """Hook into torch once, however many loops over batches are nested."""
        with ExitStack() as stack:
            if self._depth == 0:
                stack.enter_context(updates_heard(self._core))
                stack.enter_context(losses_heard(self._core))
            self._depth += 1
            stack.callback(self._leave)
            yield

    def _leave(self) -> None:
        self._depth -= 1


class GuardedLoop:
    """The listener behind `Guard` and `evenkeel run`: it passes events to the state it is in, and ends incidents."""

    def __init__(self, loop: Loop, journal: Journal, out: Path, policy: Policy, command: str = "") -> None:
        """Begin watching `loop`; incidents go to `out`."""
        self.loop = loop
        self.incident: Incident | None = None
        self.only: frozenset[int] | None = None  # id() of the optimizers to guard; None: all
        self.elsewhere: Elsewhere | None = None
        self._journal = journal
        self._out = out
        self._policy = policy
        self._command = command
        self._known = False
        self._state: Watching | Replaying | Noting = Watching(loop, journal, self._found, self._born_in_update)
        self._sighting: Sighting | None = None
        self._optimizer: Optimizer | None = None

    def forward_begins(self) -> None:
        """The first forward of a module: the models exist now."""
        self._get_to_know()

    def batch_again(self, source: Hashable) -> tuple[object] | None:
        """See `StepListener`."""
        return self._state.batch_again(source) if isinstance(self._state, Replaying) else None

    def batch_handed_out(self, source: Hashable, batch: object) -> None:
        """See `StepListener`."""
        if not isinstance(self._state, Replaying):
            self._get_to_know()
            self.loop.window.handed_out(source, batch)

    def backward_begins(self, losses: tuple[Tensor, ...]) -> None:
        """See `StepListener`."""
        self._get_to_know()
        self.loop.heard_loss(losses)

    def gradients_cleared(self) -> None:
        """See `StepListener`."""
        self.loop.gradients_cleared()

    def before_update(self, optimizer: Optimizer) -> None:
        """See `StepListener`."""
        if self._guards(optimizer):
            self._get_to_know()
            self._state.before_update(optimizer)

    def after_update(self, optimizer: Optimizer) -> None:
        """See `StepListener`."""
        if self._guards(optimizer):
            self._state.after_update(optimizer)

    def holds_still(self) -> bool:
        """See `StepListener`."""
        return isinstance(self._state, Replaying)

    def finish(self) -> None:
        """The program ended: a replay that is still waited for will not come."""
        if isinstance(self._state, Replaying):
            self._state.give_up("the loop ended before the step came again")

    def _guards(self, optimizer: Optimizer) -> bool:
        return self.only is None or id(optimizer) in self.only

    def _get_to_know(self) -> None:
        if not self._known:
            self._known = True
            self.loop.begin_step()

    def _found(self, sighting: Sighting, optimizer: Optimizer) -> None:
        self._note(sighting, optimizer)
        replaying = Replaying(self.loop, sighting, optimizer, self._replay_ended)
        self._state = replaying
        replaying.begin(optimizer)

    def _born_in_update(self, sighting: Sighting, optimizer: Optimizer) -> None:
        self._note(sighting, optimizer)
        self._replay_ended(Replay(how="not repeated: the update was at fault, and it has been made", reproduced=False))

    def _note(self, sighting: Sighting, optimizer: Optimizer) -> None:
        self._sighting, self._optimizer = sighting, optimizer
        symptom = sighting.symptom
        self._journal.write(StepBad(step=self.loop.step, kind=symptom.kind, name=symptom.name))

    def _replay_ended(self, replay: Replay) -> None:
        """Explain the step from the best replay there is, then do as the policy says."""
        self._state = Noting(self.loop, self._journal)
        if self._sighting is None or self._optimizer is None:
            return
        if not replay.reproduced and self.elsewhere is not None:
            repeated = self.elsewhere(self.loop.step, self._sighting)
            if isinstance(repeated, Incident):
                self._conclude(repeated)
                return
            replay = replace(replay, how=f"{replay.how}; {repeated}")
        self._conclude(self._incident(replay, self._sighting, self._optimizer))

    def _incident(self, replay: Replay, sighting: Sighting, optimizer: Optimizer) -> Incident:
        return incident_of(sighting, replay, self.loop.scene(optimizer), command=self._command)

    def _conclude(self, incident: Incident) -> None:
        case = incident.case
        self._journal.write(Replayed(step=case.step, how=incident.how_replayed, reproduced=case.reproduced))
        self.incident = write(incident, self._out)
        as_text.render(self.incident, Console(file=sys.stderr))
        if self._policy == "stop":
            raise TrainingStopped(case.step)
