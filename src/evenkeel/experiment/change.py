"""What an experiment changes: exactly one thing, and nothing outside of the step that is repeated."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from evenkeel.core.edit import Edit
from evenkeel.step.window import HandOut


class Change(Protocol):
    """One thing that is different while a step is repeated; what a change does not say of itself is as said here.

    It is in force from before the step's first batch goes out until its update was judged; and once more while the
    step comes from there again. In between it is left, because the program may read or store its parameters there.
    """

    @property
    def name(self) -> str:
        """Which experiment it is: "without samples"; one of a fixed list."""

    @property
    def changed(self) -> str:
        """What was different, in words and with values; asked for after the step."""

    @property
    def remedy(self) -> str:
        """What to do where this made the step healthy, as a sentence; "" where that says nothing of a remedy."""
        return ""

    @property
    def edits(self) -> tuple[Edit, ...]:
        """What would make the same change in the user's own text; asked for after the step. Empty: no such thing."""
        return ()

    @property
    def keeps_loss(self) -> bool:
        """Whether it may count as healthy only if the loss is the same to the bit as in the failing step."""
        return False

    @property
    def took_effect(self) -> bool:
        """Whether the step came to what is changed; if not, nothing was learnt. Asked for after the step."""
        return True

    def batch(self, hand_out: HandOut) -> object:
        """The batch to hand out for this one; random states are put back as for any replay."""
        return hand_out.again()

    def during(self) -> AbstractContextManager[object]:
        """In force while the step runs; whatever it changes is put back at the end."""
        return nullcontext()
