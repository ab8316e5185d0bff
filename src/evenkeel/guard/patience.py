"""How long a gradient scaler may look for its scale before that is a finding."""

from __future__ import annotations

FLOOR = 1.0  # below it the gradients overflow by themselves, not because of the scale
IN_A_ROW = 20  # 16 refusals bring the usual first scale of 65,536 down to 1


class Patience:
    """Counts updates that a scaler refused, one after another."""

    def __init__(self) -> None:
        """Begin with none."""
        self.num_refused = 0  # since the last update that was made

    def is_over(self, scale: float) -> bool:
        """Whether this refusal, which lowers the scale to `scale`, is one too many.

        It is told once, until `num_refused` is 0 again.
        """
        self.num_refused += 1
        if self.num_refused > IN_A_ROW:
            return False
        if scale < FLOOR:
            self.num_refused = IN_A_ROW
        return self.num_refused == IN_A_ROW
