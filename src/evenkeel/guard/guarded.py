"""The listener behind `Guard` and `evenkeel run`: it passes events to the state it is in, and ends incidents."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from torch import Tensor
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
from evenkeel.journal.writer import Journal
from evenkeel.report import as_text
from evenkeel.report.write import write

_RUN_GOES_ON = "not repeated here: the run goes on"
Elsewhere = Callable[[int, Sighting], Incident | str]  # repeats a step that the loop could not; or says why not


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
        watching = Watching(loop, journal, self._found, self._born_in_update, self._goes_on)
        self._state: Watching | Replaying | Noting = watching
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
        if self._goes_on():
            self._replay_ended(Replay(how=_RUN_GOES_ON, reproduced=False))
            return
        replaying = Replaying(self.loop, sighting, optimizer, self._replay_ended)
        self._state = replaying
        replaying.begin(optimizer)

    def _goes_on(self) -> bool:
        """Whether a bad update is made as it was and the step repeated elsewhere: here it would cost an iteration."""
        return self._policy == "observe" and self.elsewhere is not None

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
