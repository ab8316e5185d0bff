"""What is known of a training loop between its steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from evenkeel.casefile import Scene
from evenkeel.detect.nonfinite import Sighting, Watched, look, look_at_parameters, worst
from evenkeel.locate.modules import Names
from evenkeel.step.snapshot import BufferCopy
from evenkeel.step.window import Window
from evenkeel.tensors.measure import is_finite

_REMEMBERED = 64


class Loop:
    """Count, window, names, buffers and history of one loop.

    Memory: the batches of one step, one copy of the buffers, the last 64 losses.
    """

    def __init__(self, find_roots: Callable[[], Sequence[nn.Module]]) -> None:
        """`find_roots` tells which models there are; it is asked when the loop is first seen at work."""
        self.step = 0  # 0-based count of optimizer.step() calls
        self.window = Window()
        self.buffers = BufferCopy()
        self.names = Names(())
        self.losses: list[Tensor] = []  # of the step under way
        self.optimizers: dict[int, Optimizer] = {}
        self._find_roots = find_roots
        self._judged_buffers: tuple[Tensor, ...] = ()
        self._past_losses: deque[float] = deque(maxlen=_REMEMBERED)
        self._peaks: deque[float] = deque(maxlen=_REMEMBERED)

    def get_to_know(self) -> None:
        """Find the models: their names, and the buffers that a step may change.

        Buffers that hold something non-finite from the start (a mask of -inf) are not judged later.
        """
        self.names = Names(self._find_roots())
        buffers = tuple(self.names.buffers())
        self._judged_buffers = tuple(b for b in buffers if b.is_floating_point() and is_finite(b))
        self.buffers.watch(buffers)

    def begin_step(self) -> None:
        """The first sign of a step that no update preceded: what came before belongs to the set-up."""
        self.window = Window()
        self.get_to_know()

    def heard_loss(self, losses: Sequence[Tensor]) -> None:
        """Note what backward starts from."""
        self.window.backward_began()
        self.losses.extend(loss.detach() for loss in losses)

    def gradients_cleared(self) -> None:
        """Losses and batches so far were thrown away, or applied already."""
        self.losses.clear()
        self.window.gradients_cleared()

    def judge(self, optimizer: Optimizer) -> Sighting | None:
        """Judge losses, the gradients of this optimizer, and buffers."""
        if not self._peaks:  # before the first update, so that growth can be told from the start
            self._peaks.append(worst(parameters_of(optimizer)))
        gradients = [(p, p.grad) for p in parameters_of(optimizer) if p.grad is not None]
        return look(Watched(self.losses, gradients, self._judged_buffers), self.name_of)

    def judge_update(self, optimizer: Optimizer) -> Sighting | None:
        """Judge the parameters of this optimizer."""
        return look_at_parameters(parameters_of(optimizer), self.name_of)

    def close_step(self, optimizer: Optimizer) -> float | None:
        """An update was made: count it, remember its loss (returned), begin the next window."""
        loss = _number(self.losses[-1]) if self.losses else None
        if loss is not None:
            self._past_losses.append(loss)
        if self.step & (self.step - 1) == 0:  # after steps 0, 1, 2, 4, 8, ...: it costs a pass over the parameters
            self._peaks.append(worst(parameters_of(optimizer)))
        newcomer = id(optimizer) not in self.optimizers
        self.optimizers[id(optimizer)] = optimizer
        self.step += 1
        self.losses.clear()
        self.window.updated(id(optimizer))
        if newcomer and any(self.names.of_tensor(p) is None for p in parameters_of(optimizer)):
            self.get_to_know()
        else:
            self.buffers.refresh()
        return loss

    def scene(self, optimizer: Optimizer) -> Scene:
        """What is known at the step under way."""
        return Scene(
            step=self.step,
            names=self.names,
            hand_outs=tuple(self.window.hand_outs),
            losses=tuple(self._past_losses),
            weight_peaks=(*self._peaks, worst(parameters_of(optimizer))),
        )

    def name_of(self, tensor: Tensor) -> str:
        """The dotted name of a parameter or buffer; its place in the optimizer when no module holds it."""
        known = self.names.of_tensor(tensor)
        if known is not None:
            return known
        for optimizer in self.optimizers.values():
            for position, parameter in enumerate(parameters_of(optimizer)):
                if parameter is tensor:
                    return f"{type(optimizer).__name__}.params[{position}]"
        return f"tensor of shape {tuple(tensor.shape)}"


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """Every parameter of every group."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def _number(loss: Tensor) -> float | None:
    return float(loss) if loss.numel() == 1 and not torch.is_complex(loss) else None
