"""What was heard of the step under way before its update: its losses, and the norm by which it is clipped."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from torch import Tensor

from evenkeel.detect.nonfinite import Sighting
from evenkeel.tensors.measure import local, suspicion

_REMEMBERED = 64


class Heard:
    """Losses that backward started from since the last update, and the norm of gradients where the script took it.

    Memory: those, and the numbers of the last 64 steps.
    """

    def __init__(self) -> None:
        """Begin before the first step."""
        self.losses: list[Tensor] = []
        self.flags: list[Tensor] = []  # a 0-d real tensor for each, not finite when the loss is not
        self.num_losses = 0  # ever
        self.past: deque[float] = deque(maxlen=_REMEMBERED)
        self.clipped: Sequence[Tensor] = ()  # gradients whose norm was found finite, or is about to be read:
        self.norm: Tensor | None = None
        self.bad_at_clipping: Sighting | None = None
        self._norms: deque[tuple[int, Tensor]] = deque(maxlen=_REMEMBERED)  # id() of the first parameter, and norm
        self._latest: Tensor | None = None
        self._scaled: tuple[Tensor, Tensor] | None = None  # what a scaler made of a loss last, and the loss

    def more(self, losses: Sequence[Tensor]) -> None:
        """Note more losses; gradients are about to change."""
        for product in losses:
            loss = self._scaled[1] if self._scaled is not None and self._scaled[0] is product else product
            self._latest = loss = loss.detach()
            self.losses.append(loss)
            if loss.ndim == 0 and loss.is_floating_point() and type(loss) is Tensor:
                self.flags.append(loss)
            elif (flag := suspicion([loss])) is not None:
                self.flags.append(flag)
        self.num_losses += len(losses)
        self.clipped, self.norm, self.bad_at_clipping = (), None, None

    @property
    def last_loss(self) -> float | None:
        """The one heard last in the step under way; None when that is not one real number. Cost: one host sync."""
        return _number(self.losses[-1]) if self.losses else None

    def norm_taken(self, parameters: Sequence[Tensor], norm: Tensor) -> None:
        """Remember a norm by which gradients are clipped; it is read when somebody asks."""
        if parameters:
            self._norms.append((id(parameters[0]), norm.detach()))

    def norms_of(self, parameters: Sequence[Tensor]) -> tuple[float, ...]:
        """The norms of these parameters' gradients in the last steps, oldest first."""
        ids = {id(parameter) for parameter in parameters}
        return tuple(float(local(norm)) for first, norm in self._norms if first in ids)

    def scaled(self, loss: Tensor, product: Tensor) -> None:
        """A gradient scaler multiplied a loss; backward will start from the product."""
        self._scaled = (product, loss)

    def clear(self) -> None:
        """They were thrown away, or applied."""
        self.losses.clear()
        self.flags.clear()
        self.clipped, self.norm, self.bad_at_clipping = (), None, None

    def close(self) -> float | None:
        """The step is over: the loss heard last, None when that is not one real number. Cost: one host sync.

        Several optimizers may apply what one backward computed.
        """
        self.clear()
        number = None if self._latest is None else _number(self._latest)
        if number is not None:
            self.past.append(number)
        return number


def _number(loss: Tensor) -> float | None:
    return None if loss.numel() != 1 or loss.is_complex() else float(loss)
