"""The losses of the step under way, and those of the last steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

from evenkeel.tensors.measure import suspicion

_REMEMBERED = 64


class Losses:
    """What backward started from since the last update. Memory: those, and the numbers of the last 64 steps."""

    def __init__(self) -> None:
        """Begin before the first step."""
        self.now: list[Tensor] = []
        self.num_heard = 0
        self._latest: Tensor | None = None
        self._scaled: tuple[Tensor, Tensor] | None = None  # what a scaler made of a loss last, and the loss
        self.past: deque[float] = deque(maxlen=_REMEMBERED)

    def heard(self, losses: Sequence[Tensor]) -> None:
        """Note more of them."""
        self.now.extend(self._unscaled(loss).detach() for loss in losses)
        self.num_heard += len(losses)
        self._latest = self.now[-1] if losses else self._latest

    def scaled(self, loss: Tensor, product: Tensor) -> None:
        """A gradient scaler multiplied a loss; backward will start from the product."""
        self._scaled = (product, loss)

    def clear(self) -> None:
        """They were thrown away, or applied."""
        self.now.clear()

    def flags(self) -> list[Tensor]:
        """A 0-d real tensor for each, not finite when the loss is not."""
        return [flag for loss in self.now if (flag := _flag(loss)) is not None]

    def close(self) -> float | None:
        """The step is over: the loss heard last, None when that is not one real number. Cost: one host sync.

        Several optimizers may apply what one backward computed.
        """
        number = None if self._latest is None else _number(self._latest)
        if number is not None:
            self.past.append(number)
        self.now.clear()
        return number

    def _unscaled(self, heard: Tensor) -> Tensor:
        return self._scaled[1] if self._scaled is not None and self._scaled[0] is heard else heard


def _flag(loss: Tensor) -> Tensor | None:
    simple = loss.ndim == 0 and loss.is_floating_point() and type(loss) is Tensor
    return loss if simple else suspicion([loss])


def _number(loss: Tensor) -> float | None:
    return float(loss) if loss.numel() == 1 and not torch.is_complex(loss) else None
