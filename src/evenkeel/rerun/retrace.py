"""Repeat a step by running the program again from its start, in a child process.

For loops that take their data in a way which cannot be rewound (slices of an array, a generator of their own). The
child begins with the random states that the parent began with, counts updates, and traces the failing step.
It is started with `EVENKEEL_RERUN=1` in its environment, so that a script can keep from writing its files twice.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from evenkeel.casefile.incident import incident_of
from evenkeel.casefile.scene import Replay
from evenkeel.core.errors import TrainingStopped
from evenkeel.core.fingerprint import Fingerprint, Likeness
from evenkeel.core.incident import Incident
from evenkeel.core.operation import Phase
from evenkeel.detect.nonfinite import Sighting
from evenkeel.guard.hands import Hands
from evenkeel.guard.loop import Loop
from evenkeel.journal.plain import from_plain, to_plain
from evenkeel.locate.modules import living_roots
from evenkeel.locate.observation import Observation
from evenkeel.program import run_as_main
from evenkeel.report.as_json import from_json, to_json
from evenkeel.rerun.child import LOG, Children, place, plan_in
from evenkeel.step.hooks import listening
from evenkeel.step.listener import ClearedTo, Schedule
from evenkeel.step.updater import Updater

IN_CHILD = "in a child process, from the start of the program"


def retraced(children: Children, steps: range, seen: Sighting) -> Incident | str:
    """Repeat the one of `steps` in which the symptom arose in a child process.

    Returns: the incident that the child wrote, or a sentence that says why there is none. The child's output is kept in
    `rerun/<step>/output.log` of the run's directory.
    """
    directory = children.beginning.settings.out / "rerun" / str(steps[-1])
    wanted = {
        "first": steps[0],
        "last": steps[-1],
        "fingerprint": to_plain(seen.fingerprint),
        "kind": seen.symptom.kind,
        "names": list(seen.symptom.names),
    }
    obstacle = children.run("evenkeel.rerun.retrace", directory, steps[-1], wanted)
    if obstacle is not None:
        return obstacle
    written = directory / "incident.json"
    if not written.exists():
        return f"the re-run from the start did not come to the bad step {steps[-1]}; see {directory / LOG}"
    return from_json(written.read_text())


class Retrace:
    """The listener in the child: it lets all steps pass, and traces those of which one is wanted."""

    def __init__(self, plan: dict[str, Any], directory: Path) -> None:
        """Trace from the start when the first step is the wanted one."""
        self._plan = plan
        self._wanted = from_plain(Fingerprint, plan["fingerprint"], "plan.fingerprint")
        self._directory = directory
        self._loop = Loop(living_roots)
        self._hands = Hands()
        self._backward_from: tuple[Tensor, ...] = ()
        self._observation: Observation | None = None
        self._known = False

    def forward_begins(self) -> None:
        """The models exist now."""
        if not self._known:
            self._known = True
            self._loop.begin_step()
            self._observe_if_due()

    def batch_again(self, _source: Hashable) -> tuple[object] | None:
        """Nothing is handed out twice here."""
        return None

    def batch_handed_out(self, source: Hashable, batch: object, indices: Sequence[int]) -> None:
        """Note the batch; before the wanted step's first loss, the trace begins anew with each."""
        self.forward_begins()
        self._loop.batch_handed_out(source, batch, indices)
        if self._observation is not None and not self._loop.heard.losses:
            self._observation.begin()

    def backward_begins(self, losses: tuple[Tensor, ...]) -> None:
        """Note the loss."""
        self.forward_begins()
        self._loop.heard_loss(losses)
        self._backward_from = losses
        if self._observation is not None and self._plan["kind"] == "gradient":
            self._observation.summands.note_with_gradients(losses)
        elif self._observation is not None:
            self._observation.summands.note(losses)

    def backward_ended(self, leaves: Sequence[Tensor], gradients: Sequence[Tensor] | None) -> None:
        """In a loop that updates by hand, that is the step."""
        updater = self._hands.updater_after(self._backward_from, leaves, gradients)
        self._backward_from = ()
        if updater is not None:
            self._before(updater)
            self.after_update(updater)

    def clipping(self, parameters: Sequence[Tensor], norm: Tensor, normed: Sequence[Tensor] | None) -> None:
        """Judge the gradients while they are what backward made of them."""
        self._loop.heard.norm_taken(parameters, norm)
        if self._observation is not None:
            self._loop.judge.clipping(parameters, norm, normed)

    def gradients_cleared(self, to: ClearedTo) -> None:
        """Losses so far were thrown away."""
        self._loop.gradients_cleared(to)

    def before_update(self, updater: Updater) -> None:
        """End here when the symptom shows before the update; else trace the update too."""
        self._hands.are_at_work = False
        self._before(updater)

    def evaluation_begins(self) -> None:
        """What the closure computes is no part of the update's own arithmetic."""
        self._in_phase("forward")

    def evaluation_ended(self) -> None:
        """The update goes on."""
        self._in_phase("optimizer")

    def after_update(self, updater: Updater) -> None:
        """Judge the wanted update, or count it."""
        if self._observation is not None:
            self._observation.trace.active = False
            seen = self._loop.judge.last_evaluation(updater) or self._loop.judge.update(updater)
            if seen is not None:
                self._end(seen, updater)
            if self._loop.step == self._plan["last"]:
                raise TrainingStopped(self._loop.step)  # healthy this time: there is nothing to write
            self._observation.stop()
            self._observation = None
        self._loop.close_step(updater)
        self._observe_if_due()

    def loss_scaled(self, loss: Tensor, product: Tensor) -> None:
        """Judge the loss itself."""
        self._loop.heard.scaled(loss, product)

    def scaler_steps(self, scaler: GradScaler) -> None:
        """Whether it does so too often is not asked here."""

    def update_refused(self, updater: Updater) -> None:
        """Many updates may be refused at the wanted step, which is counted by those that are made: compare each."""
        if self._observation is None:
            return
        seen = self._loop.judge.exactly(updater)
        if seen is not None and seen.fingerprint.likeness(self._wanted) != "none":
            self._before(updater)
        self._loop.heard.clear()
        self._observation.begin()

    def schedule_moves(self, schedule: Schedule) -> None:
        """It may."""

    def holds_still(self) -> bool:
        """Schedules advance as they did."""
        return False

    def _before(self, updater: Updater) -> None:
        self.forward_begins()
        if self._observation is None:
            return
        self._observation.trace.active = False
        seen = self._loop.judge.step(updater)
        if seen is not None:
            self._end(seen, updater)
        self._in_phase("optimizer")
        self._observation.trace.active = True

    def _in_phase(self, phase: Phase) -> None:
        if self._observation is not None:
            self._observation.trace.phase = phase

    def _observe_if_due(self) -> None:
        if self._plan["first"] <= self._loop.step <= self._plan["last"]:
            self._observation = Observation(self._loop.names)
            self._observation.start()
            self._observation.begin()

    def _end(self, seen: Sighting, updater: Updater) -> None:
        if self._observation is None:
            return
        self._observation.stop()
        likeness = self._likeness(seen, updater)
        replay = Replay(how=IN_CHILD, likeness=likeness, observed=self._observation, sighting=seen)
        incident = incident_of(seen, replay, self._loop.scene(updater), command=self._plan["command"])
        place(self._directory / "incident.json", to_json(incident))
        raise TrainingStopped(self._loop.step)

    def _likeness(self, seen: Sighting, updater: Updater) -> Likeness:
        # parameters that the step itself wrote into, before its update, were taken for those of an earlier update
        alike = seen if list(seen.symptom.names) == self._plan["names"] else self._loop.judge.update(updater)
        if alike is None or list(alike.symptom.names) != self._plan["names"]:
            return "none"
        # parameters that were judged some updates later hold other bits by then
        return "bits" if self._plan["first"] < self._plan["last"] else self._wanted.likeness(alike.fingerprint)


def main(directory: Path) -> None:
    """Run the program of `directory/plan.json` up to the wanted step."""
    plan = plan_in(directory)
    with listening(Retrace(plan, directory)), suppress(TrainingStopped):
        run_as_main(plan["target"], plan["arguments"], as_module=plan["as_module"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
