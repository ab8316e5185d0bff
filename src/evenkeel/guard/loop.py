"""What is known of a training loop between its steps."""

from __future__ import annotations

import math
import operator
from collections import deque
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from evenkeel.casefile import Scene
from evenkeel.core.settings import EACH_TENTH_STEP, Every
from evenkeel.detect.nonfinite import Sighting, Watched, look, look_at_parameters, suspicious, worst
from evenkeel.guard.losses import Losses
from evenkeel.locate.modules import Names
from evenkeel.step.device import honours_found_inf
from evenkeel.step.listener import ClearedTo
from evenkeel.step.scalers import judged_by_scaler, scale_after_refusal
from evenkeel.step.snapshot import BufferCopy
from evenkeel.step.updater import ByHand, Parameters, Updater, drop_gradients, parameters_of, zero_gradients
from evenkeel.step.window import Window
from evenkeel.tensors.measure import is_finite, local, suspicion, totals

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
        self.losses = Losses()
        self.updaters: dict[int, Updater] = {}
        self.scaler: GradScaler | None = None  # the one that stepped last
        self._find_roots = find_roots
        self._parameters_due = parameters
        self._first_unjudged = 0
        self._judged_losses = 0
        self._parameters: dict[int, Parameters] = {}
        self._judged_buffers: tuple[Tensor, ...] = ()
        self._present_buffers = BufferCopy()
        self._clipped: Sequence[Tensor] = ()  # gradients whose norm was found finite, or is about to be read:
        self._norm: Tensor | None = None
        self._seen_at_clipping: Sighting | None = None
        self._peaks: deque[Tensor] = deque(maxlen=_REMEMBERED)  # read when somebody asks

    def get_to_know(self) -> None:
        """Find the models: their names, and the buffers that a step may change.

        Buffers that hold something non-finite from the start (a mask of -inf) are not judged later.
        """
        self.names = Names(self._find_roots())
        buffers = tuple(self.names.buffers())
        self._judged_buffers = tuple(b for b in buffers if b.is_floating_point() and is_finite(b))
        self._present_buffers.watch(self._judged_buffers)
        self.buffers.watch(buffers)
        self._spare_buffers.watch(buffers)

    def begin_step(self) -> None:
        """The first sign of a step that no update preceded: what came before belongs to the set-up."""
        self.window = Window()
        self.get_to_know()

    def batch_handed_out(self, source: Hashable, batch: object) -> None:
        """Note the batch; what the loop did to buffers after its last update (an average of its own) stays done."""
        if self.window.handed_out(source, batch):
            self.buffers.refresh()

    def heard_loss(self, losses: Sequence[Tensor]) -> None:
        """Note what backward starts from."""
        self.window.backward_began()
        self.losses.heard(losses)
        self._clipped, self._norm = (), None

    def clipping(self, parameters: Sequence[Tensor], norm: Tensor, normed: Sequence[Tensor] | None) -> Sighting | None:
        """Judge gradients by the norm that the script took of them, before it multiplies them."""
        if norm.is_cuda and normed is not None:  # it is read with the other flags: no host sync here
            self._clipped, self._norm = normed, norm.detach()
            return None
        if not suspicious([local(norm.detach())]):
            self._clipped = normed or ()
            return None
        gradients = [(p, p.grad) for p in parameters if p.grad is not None]
        self._seen_at_clipping = look(Watched(self.losses.now, gradients, norm.detach()), self.name_of)
        return self._seen_at_clipping

    def gradients_cleared(self, to: ClearedTo) -> None:
        """Losses and batches so far were thrown away, or applied already."""
        self.forget_step()
        self.window.gradients_cleared(to)

    def forget_step(self) -> None:
        """Losses and norms so far belong to no step."""
        self.losses.clear()
        self._clipped, self._norm = (), None
        self._seen_at_clipping = None

    def refused(self, updater: Updater) -> bool:
        """Whether a scaler has told this fused optimizer to leave its update out."""
        verdict = judged_by_scaler(updater)
        return verdict is not None and float(verdict) != 0

    def judge(self, updater: Updater) -> Sighting | None:
        """Judge losses, the gradients of this updater, and buffers.

        Cost: one fused reduction over the gradients, none where their norm was taken for clipping.
        """
        if self._seen_at_clipping is not None:
            return self._seen_at_clipping
        self._judged_losses = self.losses.num_heard
        if not suspicious(self.flags(updater)):
            return None
        return look(self._watched(updater, self._known(updater)), self.name_of)

    def flags(self, updater: Updater) -> list[Tensor]:
        """0-d tensors, one of which is not finite when a loss, gradient or buffer is not. No host sync."""
        parameters = self._known(updater)
        if not self._peaks:  # before the first update, so that growth can be told from the start
            self._peaks.append(worst(parameters.all))
        return self.losses.flags() + self._flags_of_gradients(updater, parameters) + self._flags_of_buffers()

    def scale_after_refusal(self) -> float:
        """What a scaler that has just refused an update lowers its scale to; NaN when none did."""
        return math.nan if self.scaler is None else scale_after_refusal(self.scaler)

    def judge_losses(self, updater: Updater) -> Sighting | None:
        """Judge losses alone, where a scaler has judged the gradients and found one that is not finite."""
        if not suspicious(self.losses.flags()):
            return None
        seen = self.judge_exactly(updater)
        return seen if seen is not None and seen.symptom.kind == "loss" else None

    def judge_exactly(self, updater: Updater) -> Sighting | None:
        """Judge everything, whatever a sum or a scaler said of it."""
        if self._seen_at_clipping is not None:
            return self._seen_at_clipping
        return look(self._watched(updater, self._known(updater)), self.name_of)

    def judge_update(self, updater: Updater) -> Sighting | None:
        """Judge the parameters of this updater."""
        if not suspicious(self._flags_of_update(updater)):
            return None
        return look_at_parameters(self._known(updater).all, self.name_of)

    def judge_update_when_due(self, updater: Updater) -> Sighting | None:
        """Judge the parameters of this updater, if the schedule says so."""
        if not self._parameters_due.is_due(self.step):
            return None
        made = self.judge_update(updater)
        if made is None:
            self._first_unjudged = self.step + 1
        return made

    @property
    def unjudged(self) -> range:
        """The steps whose updates nobody has looked at since."""
        return range(self._first_unjudged, self.step)

    def judge_last_evaluation(self, updater: Updater) -> Sighting | None:
        """Judge the loss that a closure returned last inside the update, unless a line search may have dismissed it."""
        if self.losses.num_heard == self._judged_losses:
            return None
        searches = any(group.get("line_search_fn") is not None for group in updater.param_groups)
        if searches or not suspicious(self.losses.flags()):
            return None
        return look(Watched(self.losses.now), self.name_of)

    def flags_of_update_when_due(self, updater: Updater) -> list[Tensor]:
        """0-d tensors, one of which is not finite when a parameter is not, if the schedule asks. No host sync."""
        return self._flags_of_update(updater) if self._parameters_due.is_due(self.step) else []

    def is_judged_late(self, updater: Updater) -> bool:
        """Whether the device itself can leave a bad update out, so that the host need not wait for its verdict."""
        if not honours_found_inf(updater) or judged_by_scaler(updater) is not None:
            return False
        parameters = self._known(updater)
        return parameters.are_plain and parameters.all[0].is_cuda

    def close_unread_step(self, updater: Updater) -> None:
        """An update was sent to the device: count it. Its buffers are kept until its verdict is there."""
        self.note_peak(updater)
        self.buffers, self._spare_buffers = self._spare_buffers, self.buffers
        self._end_step(updater)

    def return_to(self, step: int, window: Window, buffers: BufferCopy) -> None:
        """Stand before the update of an earlier step, of which these are window and buffers."""
        if buffers is not self.buffers:
            self._spare_buffers = self.buffers
        self.step, self.window, self.buffers = step, window, buffers

    def close_step(self, updater: Updater) -> float | None:
        """An update was made: count it, remember its loss (returned), begin the next window."""
        self.note_peak(updater)
        loss = self.losses.close()
        self._end_step(updater)
        return loss

    def note_peak(self, updater: Updater) -> None:
        """After steps 0, 1, 2, 4, 8, ...: it costs a pass over the parameters."""
        if self.step & (self.step - 1) == 0:
            self._peaks.append(worst(parameters_of(updater)))

    def leave_out(self, updater: Updater) -> None:
        """An update was not made and will not be: count it and begin the next window."""
        self._end_step(updater)

    def forget_gradients(self, updater: Updater) -> None:
        """Gradients as they were when the step began: as the loop's own `zero_grad()` leaves them."""
        forget = {"none": drop_gradients, "zero": zero_gradients}[self.window.cleared_to]
        forget((*self.updaters.values(), updater))
        self.forget_step()

    def scene(self, updater: Updater) -> Scene:
        """What is known at the step under way."""
        return Scene(
            step=self.step,
            first_unjudged=self._first_unjudged,
            names=self.names,
            hand_outs=self.window.consumed,
            losses=tuple(self.losses.past),
            weight_peaks=tuple(float(peak) for peak in (*self._peaks, worst(parameters_of(updater)))),
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

    def _known(self, updater: Updater) -> Parameters:
        known = self._parameters.get(id(updater))
        if known is None or known.updater is not updater:
            known = self._parameters[id(updater)] = Parameters(updater)
        known.refresh()
        return known

    def _flags_of_update(self, updater: Updater) -> list[Tensor]:
        parameters = self._known(updater)
        with torch.no_grad():
            if parameters.are_plain:
                return totals(parameters.all)
            flag = suspicion(parameters.all)
            return [] if flag is None else [flag]

    def _watched(self, updater: Updater, parameters: Parameters) -> Watched:
        gradients = updater.gradients if isinstance(updater, ByHand) else parameters.with_gradient()
        return Watched(self.losses.now, gradients, buffers=self._judged_buffers)

    def _flags_of_gradients(self, updater: Updater, parameters: Parameters) -> list[Tensor]:
        if judged_by_scaler(updater) is not None:
            return []
        if isinstance(updater, ByHand):
            gradients = [gradient for _, gradient in updater.gradients]
        else:
            gradients = parameters.gradients()
        clipped = self._clipped
        if not gradients or (len(clipped) == len(gradients) and all(map(operator.is_, clipped, gradients))):
            return [] if self._norm is None else [self._norm]
        if parameters.are_plain and not gradients[0].requires_grad:
            return totals(gradients)
        flag = suspicion(gradients)
        return [] if flag is None else [flag]

    def _flags_of_buffers(self) -> list[Tensor]:
        if not self._judged_buffers:
            return []
        self._present_buffers.refresh()
        return [flat.sum() for flat in self._present_buffers.flat]

    def _end_step(self, updater: Updater) -> None:
        self.step += 1
        self.forget_step()
        self.window.updated(id(updater))
        newcomer = id(updater) not in self.updaters
        self.updaters[id(updater)] = updater
        if newcomer and any(self.names.of_tensor(p) is None for p in parameters_of(updater)):
            self.get_to_know()
        else:
            self.buffers.refresh()
