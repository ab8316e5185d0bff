"""The step once more, with nothing changed: whether it fails each time."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from evenkeel.core.edit import Edit
from evenkeel.step.window import HandOut


class Unchanged:
    """Nothing is different. A step that fails at one time and not at another depends on more than its inputs."""

    name = "unchanged"
    changed = "nothing"
    remedy = ""
    edits: tuple[Edit, ...] = ()
    keeps_loss = False
    took_effect = True

    def batch(self, hand_out: HandOut) -> object:
        """As it was."""
        return hand_out.again()

    def during(self) -> AbstractContextManager[object]:
        """Nothing is in force."""
        return nullcontext()
