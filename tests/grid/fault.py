"""What is planted in the models of the grid: a loss that fails when a sample of the batch is switched off."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

from tests.grid.models import MODELS
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
WIDE, BRAIN = "float32", "bfloat16"  # of the model; bfloat16 under autocast
EVERY = tuple(MODELS)
THREE = ("perceptron", "transformer", "graph")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A loss and what is to be said when it fails."""

    loss: Loss
    cause: str
    first: str = ""  # the cause that is told before it; "": it is the first itself
    phase: Literal["forward", "backward"] = "forward"
    models: tuple[str, ...] = EVERY
    precisions: tuple[str, ...] = (WIDE, BRAIN)
    is_of_sample: bool = True  # else of the batch as a whole
    off: float = 0.0  # the switch of the bad sample
    within: Callable[[], AbstractContextManager[None]] = nullcontext  # what holds for the whole process meanwhile

    @property
    def name(self) -> str:
        """The name of the loss."""
        return self.loss.__name__


def of(cause: str, loss: Loss, **more: object) -> Fault:
    """A row of the table."""
    return Fault(cause=cause, loss=loss, **more)  # type: ignore[arg-type]


BACK = {"phase": "backward"}
BATCH = {"is_of_sample": False}
