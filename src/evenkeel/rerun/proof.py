"""Prove a change of the program: run it from its start to the step after the failing one, and judge both exactly."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from evenkeel.core.errors import TrainingStopped
from evenkeel.core.patch import PatchedFile, ProofResult
from evenkeel.detect.nonfinite import Sighting
from evenkeel.guard.hands import Hands
from evenkeel.guard.loop import Loop
from evenkeel.journal.plain import from_plain, to_plain
from evenkeel.locate.modules import living_roots
from evenkeel.program import exit_status, run_as_main
from evenkeel.rerun.child import LOG, Children, place, plan_in
from evenkeel.rerun.overlay import Overlay
from evenkeel.step.hooks import listening
from evenkeel.step.listener import ClearedTo, Schedule
from evenkeel.step.updater import ByHand, Updater

RESULT = "result.json"


def proved(children: Children, files: Sequence[PatchedFile], step: int) -> ProofResult | str:
    """Run the program with patched files from its start to the step after `step`, in a child process.

    Returns: what the two steps were like, or a sentence that says why that is not known. The child's output is kept in
    `rerun/<step>-patched/output.log` of the run's directory.
    """
    changed = [file.file for file in files if Path(file.file).stat().st_mtime > children.beginning.time_s]
    if changed:
        return f"{changed[0]} was changed after the program had started"
    directory = children.new_directory(f"{step}-patched")
    wanted = {"step": step, "texts": {file.file: file.after for file in files}}
    obstacle = children.run("evenkeel.rerun.proof", directory, step, wanted)
    if obstacle is not None:
        return obstacle
    written = directory / RESULT
    if not written.exists():
        return f"the patched program did not come through step {step} and the one after it; see {directory / LOG}"
    return from_plain(ProofResult, json.loads(written.read_text()), "result")


class Proof:
    """The listener in the child: it lets all steps pass, judges some, and ends the program after them.

    A step is judged as a guard judges it, but whatever a sum or a scaler said: losses, gradients and buffers before the
    update, parameters after it. At the first that is bad the program ends too.
    """

    def __init__(self, judged: range, due: Mapping[int, Callable[[], object]]) -> None:
        """Judge these steps; `due` tells what to call before which step.

        Before the first of all: at its first sign, a batch or the call of a module.
        """
        self.result = ProofResult(first=judged[0])
        self._last = judged[-1]
        self._to_call = dict(due)
        self._loop = Loop(living_roots)
        self._hands = Hands()
        self._backward_from: tuple[Tensor, ...] = ()
        self._by_hand: ByHand | None = None  # an update by hand is under way
        self._is_known = False

    @property
    def is_over(self) -> bool:
        """Whether all were judged, or one was bad."""
        return self.result.symptom is not None or self.result.last >= self._last

    def forward_begins(self) -> None:
        """The models exist now."""
        if not self._is_known:
            self._is_known = True
            self._loop.begin_step()
            self._call_what_is_due()

    def batch_again(self, _source: Hashable) -> tuple[object] | None:
        """Nothing is handed out twice here."""
        self._end_by_hand()
        return None

    def batch_handed_out(self, source: Hashable, batch: object, indices: Sequence[int]) -> None:
        """Note the batch."""
        self.forward_begins()
        self._loop.batch_handed_out(source, batch, indices)

    def backward_begins(self, losses: tuple[Tensor, ...]) -> None:
        """Note the loss."""
        self._end_by_hand()
        self.forward_begins()
        self._loop.heard_loss(losses)
        self._backward_from = losses

    def backward_ended(self, leaves: Sequence[Tensor], gradients: Sequence[Tensor] | None) -> None:
        """In a loop that updates by hand, the update follows."""
        updater = self._hands.updater_after(self._backward_from, leaves, gradients)
        self._backward_from = ()
        if updater is not None:
            self._judge_before(updater)
            self._by_hand = updater

    def clipping(self, parameters: Sequence[Tensor], norm: Tensor, normed: Sequence[Tensor] | None) -> None:
        """Judge the gradients while they are what backward made of them."""
        if self._is_due:
            self._loop.judge.clipping(parameters, norm, normed)

    def gradients_cleared(self, to: ClearedTo) -> None:
        """Losses so far were thrown away."""
        self._end_by_hand()
        self._loop.gradients_cleared(to)

    def before_update(self, updater: Updater) -> None:
        """Judge what the update is about to be made of."""
        self.forward_begins()
        self._hands.are_at_work = False
        self._judge_before(updater)

    def evaluation_begins(self) -> None:
        """It may."""

    def evaluation_ended(self) -> None:
        """It did."""

    def after_update(self, updater: Updater) -> None:
        """Judge what it made, and count it."""
        if self._is_due:
            self._end_if_bad(self._loop.judge.last_evaluation(updater) or self._loop.judge.update(updater))
            self.result = replace(self.result, losses=(*self.result.losses, self._loop.close_step(updater)))
            self._end_if_over()
        else:
            self.result = replace(self.result, loss_before=self._loop.close_step(updater))
        self._call_what_is_due()

    def loss_scaled(self, loss: Tensor, product: Tensor) -> None:
        """Judge the loss itself."""
        self._loop.heard.scaled(loss, product)

    def scaler_steps(self, scaler: GradScaler) -> None:
        """It may; a refused update is none."""

    def update_refused(self, updater: Updater) -> None:
        """A scaler looks for its scale; a loss that is bad by itself is bad all the same."""
        if self._is_due:
            self._end_if_bad(self._loop.judge.losses_alone(updater))
        self._loop.heard.clear()

    def schedule_moves(self, schedule: Schedule) -> None:
        """It may."""

    def holds_still(self) -> bool:
        """Schedules advance as they did."""
        return False

    def finish(self) -> None:
        """The program ended by itself."""
        self._end_by_hand()
        self.result = replace(self.result, ended=True)

    def _call_what_is_due(self) -> None:
        if self._loop.step in self._to_call:
            self._to_call.pop(self._loop.step)()

    @property
    def _is_due(self) -> bool:
        return self._loop.step >= self.result.first

    def _end_if_over(self) -> None:
        """Again and again, should the program take no notice."""
        if self.is_over:
            raise TrainingStopped(self._loop.step)

    def _judge_before(self, updater: Updater) -> None:
        self._end_if_over()
        if self._is_due:
            self._end_if_bad(self._loop.judge.exactly(updater))

    def _end_by_hand(self) -> None:
        if self._by_hand is not None:
            updater, self._by_hand = self._by_hand, None
            self.after_update(updater)

    def _end_if_bad(self, seen: Sighting | None) -> None:
        if seen is not None:
            self.result = replace(self.result, symptom=seen.symptom)
        self._end_if_over()


def main(directory: Path) -> int:
    """Run the program of `directory/plan.json` with other texts, up to the step after the one in question.

    Returns: the program's own exit status where it ended by itself. The result is written unless that is an error.
    """
    plan = plan_in(directory)
    overlay = Overlay(plan["texts"])
    overlay.install()
    proof = Proof(range(plan["step"], plan["step"] + 2), {})
    status = run_under(proof, plan, overlay.read)
    if proof.is_over or not status:
        place(directory / RESULT, json.dumps(to_plain(proof.result)))
    return status


def run_under(proof: Proof, plan: dict[str, Any], read: Callable[[Path], bytes] = Path.read_bytes) -> int:
    """Run the program of a plan until the proof is made, or the program ends. Returns: its own exit status."""
    status = 0
    with listening(proof):
        try:
            run_as_main(plan["target"], plan["arguments"], as_module=plan["as_module"], read=read)
        except SystemExit as stop:
            status = exit_status(stop)
        if not proof.is_over:
            _finish(proof)
    return status


def _finish(proof: Proof) -> None:
    try:
        proof.finish()
    except TrainingStopped:  # the last update by hand was a judged one
        return


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
