"""Whether a step is bad: the losses, gradients and buffers before an update, and the parameters after it."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch
from torch import Tensor

from evenkeel.detect.nonfinite import Namer, Sighting, Watched, is_healthy, look, look_at_parameters, suspicious
from evenkeel.guard.heard import Heard
from evenkeel.step.device import honours_found_inf
from evenkeel.step.scalers import judged_by_scaler
from evenkeel.step.snapshot import BufferCopy
from evenkeel.step.updater import ByHand, Parameters, Updater, gradients_of, key_of
from evenkeel.tensors.measure import local, suspicion, totals


class Judge:
    """One suspicion a step, confirmed exactly.

    Cost: one fused reduction over the gradients, none where their norm was taken for clipping; one over the parameters
    where these are asked for. Memory: a copy of the buffers that are judged.
    """

    def __init__(self, heard: Heard, name_of: Namer) -> None:
        """Judge the step of which this was heard."""
        self._heard = heard
        self._name_of = name_of
        self.num_losses_judged = 0  # before the update
        self._parameters: dict[int, Parameters] = {}
        self._latest: Parameters | None = None
        self._buffers: tuple[Tensor, ...] = ()
        self._present_buffers = BufferCopy()

    def know_buffers(self, buffers: tuple[Tensor, ...]) -> None:
        """Judge these from now on."""
        self._buffers = buffers
        self._present_buffers.watch(buffers)

    def clipping(self, parameters: Sequence[Tensor], norm: Tensor, normed: Sequence[Tensor] | None) -> None:
        """Judge gradients by the norm that the script took of them, before it multiplies them."""
        if norm.is_cuda and normed is not None:  # it is read with the other flags: no host sync here
            self._heard.clipped, self._heard.norm = normed, norm.detach()
        elif not suspicious([local(norm.detach())]):
            self._heard.clipped = normed or ()
        else:
            gradients = [(p, p.grad) for p in parameters if p.grad is not None]
            self._heard.bad_at_clipping = look(Watched(self._heard.losses, gradients, norm.detach()), self._name_of)

    def step(self, updater: Updater) -> Sighting | None:
        """Judge losses, the gradients of this updater, and buffers."""
        self.num_losses_judged = self._heard.num_losses
        if self._heard.bad_at_clipping is None and not suspicious(self.flags(updater)):
            return None
        return self.exactly(updater)

    def exactly(self, updater: Updater) -> Sighting | None:
        """The same, whatever a sum or a scaler said of it."""
        if self._heard.bad_at_clipping is not None:
            return self._heard.bad_at_clipping
        return look(self._watched(updater), self._name_of)

    def is_healthy(self, updater: Updater) -> bool:
        """The same in a word, for a step that only has to be known as healthy or not."""
        return self._heard.bad_at_clipping is None and is_healthy(self._watched(updater))

    def _watched(self, updater: Updater) -> Watched:
        gradients = updater.gradients if isinstance(updater, ByHand) else self._known(updater).with_gradient()
        return Watched(self._heard.losses, gradients, buffers=self._buffers)

    def flags(self, updater: Updater) -> list[Tensor]:
        """0-d tensors, one of which is not finite when a loss, gradient or buffer is not. No host sync."""
        flags = self._heard.flags.copy()
        if judged_by_scaler(updater) is None:
            flags += self._flags_of_gradients(updater)
        if self._buffers:
            self._present_buffers.refresh()
            flags += [flat.sum() for flat in self._present_buffers.flat]
        return flags

    def losses_alone(self, updater: Updater) -> Sighting | None:
        """Judge losses where a scaler has judged the gradients, and found one that is not finite."""
        if not suspicious(self._heard.flags):
            return None
        seen = self.exactly(updater)
        return seen if seen is not None and seen.symptom.kind == "loss" else None

    def last_evaluation(self, updater: Updater) -> Sighting | None:
        """Judge the loss that a closure returned last inside the update, unless a line search may have dismissed it."""
        searches = any(group.get("line_search_fn") is not None for group in updater.param_groups)
        if searches or not suspicious(self._heard.flags):
            return None
        return look(Watched(self._heard.losses), self._name_of)

    def update(self, updater: Updater) -> Sighting | None:
        """Judge the parameters of this updater."""
        if not suspicious(self.flags_of_update(updater)):
            return None
        return look_at_parameters(self._known(updater).present(), self._name_of)

    def flags_of_update(self, updater: Updater) -> list[Tensor]:
        """0-d tensors, one of which is not finite when a parameter is not. No host sync."""
        known = self._known(updater)
        present = known.present()
        with torch.no_grad():
            if known.are_plain:
                return totals(present)
            flag = suspicion(present)
            return [] if flag is None else [flag]

    def can_be_late(self, updater: Updater) -> bool:
        """Whether the device itself can leave a bad update out, so that the host need not wait for its verdict."""
        if not honours_found_inf(updater) or judged_by_scaler(updater) is not None:
            return False
        known = self._known(updater)
        present = known.present()
        return known.are_plain and present[0].is_cuda

    def _known(self, updater: Updater) -> Parameters:
        known = self._parameters.get(key_of(updater))
        if known is None or known.updater is not updater:
            known = self._parameters[key_of(updater)] = Parameters(updater)
        self._latest = known
        return known

    def _flags_of_gradients(self, updater: Updater) -> list[Tensor]:
        known = self._latest
        if known is None or known.updater is not updater:
            known = self._known(updater)
        if isinstance(updater, ByHand):
            gradients = [gradient for _, gradient in updater.gradients]
            known.present()
        else:
            gradients = gradients_of(known.present())
        clipped = self._heard.clipped
        if not gradients or (len(clipped) == len(gradients) and all(map(operator.is_, clipped, gradients))):
            return [] if self._heard.norm is None else [self._heard.norm]
        if known.are_plain and not gradients[0].requires_grad:
            return totals(gradients)
        flag = suspicion(gradients)
        return [] if flag is None else [flag]
