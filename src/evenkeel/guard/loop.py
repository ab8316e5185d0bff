"""What is known of a training loop between its steps."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Sequence

from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from evenkeel.casefile.scene import Scene
from evenkeel.core.settings import EACH_TENTH_STEP, Every
from evenkeel.detect.nonfinite import Sighting, worst
from evenkeel.guard.heard import Heard
from evenkeel.guard.judge import Judge
from evenkeel.locate.modules import Names
from evenkeel.step.listener import ClearedTo
from evenkeel.step.scalers import scale_after_refusal
from evenkeel.step.snapshot import BufferCopy, RandomState
from evenkeel.step.updater import Updater, drop_gradients, key_of, parameters_of, zero_gradients
from evenkeel.step.window import Window
from evenkeel.tensors.measure import is_finite

_REMEMBERED = 64


class Loop:
    """Count, window, names, buffers and history of one loop.

    Memory: the batches of one step, two copies of the buffers, the last 64 losses.
    """

    def __init__(self, find_roots: Callable[[], Sequence[nn.Module]], parameters: Every = EACH_TENTH_STEP) -> None:
        """`find_roots` tells which models there are; `parameters`, after which updates parameters are judged."""
        self.step = 0  # 0-based count of optimizer.step() calls
        self.window = Window()
        self.buffers = BufferCopy()
        self._spare_buffers = BufferCopy()  # where verdicts arrive late, two steps are in flight
        self.names = Names(())
        self.heard = Heard()
        self.judge = Judge(self.heard, self.name_of)
        self.updaters: dict[int, Updater] = {}
        self._latest_updater: Updater | None = None
        self.scaler: GradScaler | None = None  # the one that stepped last
        self._find_roots = find_roots
        self._parameters_due = parameters
        self._first_unjudged = 0
        self.peaks: deque[Tensor] = deque(maxlen=_REMEMBERED)  # read when somebody asks

    def get_to_know(self) -> None:
        """Find the models: their names, and the buffers that a step may change.

        Buffers that hold something non-finite from the start (a mask of -inf) are not judged later.
        """
        self.names = Names(self._find_roots())
        buffers = tuple(self.names.buffers())
        self.judge.know_buffers(tuple(b for b in buffers if b.is_floating_point() and is_finite(b)))
        self.buffers.watch(buffers)
        self._spare_buffers.watch(buffers)

    def begin_step(self, random_before: RandomState | None = None) -> None:
        """The first sign of a step that no update preceded: what came before belongs to the set-up."""
        self.window = Window(random_before=random_before)
        self.get_to_know()

    def batch_handed_out(self, source: Hashable, batch: object, indices: Sequence[int] = ()) -> None:
        """Note the batch; what the loop did to buffers after its last update (an average of its own) stays done."""
        if self.window.handed_out(source, batch, indices) and self.buffers.flat:
            self.buffers.refresh()

    def heard_loss(self, losses: Sequence[Tensor]) -> None:
        """Note what backward starts from."""
        self.window.backward_began()
        self.heard.more(losses)

    def gradients_cleared(self, to: ClearedTo) -> None:
        """Losses and batches so far were thrown away, or applied already."""
        self.heard.clear()
        self.window.gradients_cleared(to)

    def scale_after_refusal(self) -> float:
        """What a scaler that has just refused an update lowers its scale to; NaN when none did."""
        return math.nan if self.scaler is None else scale_after_refusal(self.scaler)

    def judge_update(self, updater: Updater) -> Sighting | None:
        """Judge what a closure returned inside the update, and the parameters if the schedule says so."""
        if self.judge.num_losses_judged != self.heard.num_losses:
            made = self.judge.last_evaluation(updater)
            if made is not None:
                return made
        if not self._parameters_due.is_due(self.step):
            return None
        made = self.judge.update(updater)
        if made is None:
            self._first_unjudged = self.step + 1
        return made

    def judge_updates_before(self, updater: Updater) -> Sighting | None:
        """Judge the parameters as the last updates left them, if nobody has looked at them since."""
        if self._first_unjudged == self.step:
            return None
        made = self.judge.update(updater)
        if made is None:
            self._first_unjudged = self.step
        return made

    def flags_of_update_when_due(self, updater: Updater) -> list[Tensor]:
        """0-d tensors, one of which is not finite when a parameter is not, if the schedule asks. No host sync."""
        return self.judge.flags_of_update(updater) if self._parameters_due.is_due(self.step) else []

    def close_unread_step(self, updater: Updater) -> None:
        """An update was sent to the device: count it. Its buffers are kept until its verdict is there."""
        self.buffers, self._spare_buffers = self._spare_buffers, self.buffers
        self.heard.clear()
        self._end_step(updater)

    def return_to(self, step: int, window: Window, buffers: BufferCopy) -> None:
        """Stand before the update of an earlier step, of which these are window and buffers."""
        if buffers is not self.buffers:
            self._spare_buffers = self.buffers
        self.step, self.window, self.buffers = step, window, buffers

    def close_step(self, updater: Updater) -> float | None:
        """An update was made: count it, remember its loss (returned), begin the next window."""
        loss = self.heard.close()
        self._end_step(updater)
        return loss

    def note_peak(self, updater: Updater) -> None:
        """Remember how large parameters are now. Cost: a pass over them."""
        self.peaks.append(worst(parameters_of(updater)))

    def leave_out(self, updater: Updater) -> None:
        """An update was not made and will not be: count it and begin the next window."""
        self.heard.clear()
        self._end_step(updater)

    def forget_gradients(self, updater: Updater) -> None:
        """Gradients as they were when the step began: as the loop's own `zero_grad()` leaves them."""
        forget = {"none": drop_gradients, "zero": zero_gradients}[self.window.cleared_to]
        forget((*self.updaters.values(), updater))
        self.heard.clear()

    def scene(self, updater: Updater) -> Scene:
        """What is known at the step under way."""
        return Scene(
            step=self.step,
            first_unjudged=self._first_unjudged,
            names=self.names,
            hand_outs=self.window.consumed,
            losses=tuple(self.heard.past),
            weight_peaks=tuple(float(peak) for peak in (*self.peaks, worst(parameters_of(updater)))),
            gradient_norms=self.heard.norms_of(parameters_of(updater)),
            updaters=tuple({**self.updaters, key_of(updater): updater}.values()),
        )

    def name_of(self, tensor: Tensor) -> str:
        """The dotted name of a parameter or buffer; its place in the optimizer when no module holds it."""
        known = self.names.of_tensor(tensor)
        if known is not None:
            return known
        for updater in self.updaters.values():
            for position, parameter in enumerate(parameters_of(updater)):
                if parameter is tensor:
                    return f"{type(updater).__name__}.params[{position}]"
        return f"tensor of shape {tuple(tensor.shape)}"

    def _end_step(self, updater: Updater) -> None:
        if not self.step & (self.step - 1):  # 0, 1, 2, 4, 8, ...
            self.note_peak(updater)
        self.step += 1
        self.window.updated(id(updater))
        if updater is not self._latest_updater and self._is_stranger(updater):
            self.get_to_know()
        elif self.buffers.flat:
            self.buffers.refresh()

    def _is_stranger(self, updater: Updater) -> bool:
        """Whether it is new, and works on parameters of modules that are not known either."""
        self._latest_updater = updater
        is_new = self.updaters.get(key_of(updater)) is not updater
        self.updaters[key_of(updater)] = updater
        return is_new and any(self.names.of_tensor(p) is None for p in parameters_of(updater))
