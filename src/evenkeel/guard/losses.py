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
        self.past: deque[float] = deque(maxlen=_REMEMBERED)

    def heard(self, losses: Sequence[Tensor]) -> None:
        """Note more of them."""
        self.now.extend(loss.detach() for loss in losses)

    def clear(self) -> None:
        """They were thrown away, or applied."""
        self.now.clear()

    def flags(self) -> list[Tensor]:
        """A 0-d real tensor for each, not finite when the loss is not."""
        return [flag for loss in self.now if (flag := _flag(loss)) is not None]

    def close(self) -> float | None:
        """The step is over: its last loss, None when it has none that is one real number. Cost: one host sync."""
        number = _number(self.now[-1]) if self.now else None
        if number is not None:
            self.past.append(number)
        self.now.clear()
        return number


def _flag(loss: Tensor) -> Tensor | None:
    simple = loss.ndim == 0 and loss.is_floating_point() and type(loss) is Tensor
    return loss if simple else suspicion([loss])


def _number(loss: Tensor) -> float | None:
    return float(loss) if loss.numel() == 1 and not torch.is_complex(loss) else None
