"""How long a gradient scaler may look for its scale before that is a finding."""

from __future__ import annotations

FLOOR = 1.0  # below it the gradients overflow by themselves, not because of the scale
IN_A_ROW = 20  # 16 refusals bring the usual first scale of 65,536 down to 1


class Patience:
    """Counts updates that a scaler refused, one after another."""

    def __init__(self) -> None:
        """Begin with none."""
        self._in_a_row = 0

    def is_over(self, scale: float) -> bool:
        """Whether this refusal, which lowers the scale to `scale`, is one too many.

        It is told once, until an update is made.
        """
        self._in_a_row += 1
        if self._in_a_row > IN_A_ROW:
            return False
        if scale < FLOOR:
            self._in_a_row = IN_A_ROW
        return self._in_a_row == IN_A_ROW

    def updated(self) -> None:
        """An update was made."""
        self._in_a_row = 0
