"""The step without the suspected samples: other rows of the same batch stand in their place.

Rows are not taken out, because programs rely on the size of their batches; what is put in is data of the same batch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from evenkeel.experiment.change import Change
from evenkeel.step.window import HandOut
from evenkeel.tensors.rows import holds_rows, with_rows

NAME = "without samples"


@dataclass(frozen=True, slots=True)
class WithoutSamples(Change):
    """Hands the batch out with healthy rows in the place of the suspected ones."""

    suspects: HandOut
    rows: tuple[int, ...]  # for each row of the batch the one that is handed out in its place

    name = NAME
    remedy = ""  # what is wrong with them, the cause says

    @classmethod
    def of(
        cls, suspects: HandOut, samples: Sequence[int], num_samples: int, concerned: Collection[int]
    ) -> WithoutSamples | None:
        """Let the other rows take turns.

        `concerned` are the tensors of the batch, by `id`, that the bad value came from. None where no row is left, or
        these have no rows that can be exchanged.
        """
        healthy = [row for row in range(num_samples) if row not in set(samples)]
        if not samples or not healthy or not holds_rows(suspects.batch, num_samples, concerned):
            return None
        rows = list(range(num_samples))
        for turn, sample in enumerate(samples):
            rows[sample] = healthy[turn % len(healthy)]
        return cls(suspects, tuple(rows))

    @property
    def changed(self) -> str:
        """What is different, in words."""
        exchanged = [f"{row} by {put}" for row, put in enumerate(self.rows) if row != put]
        shown = ", ".join(exchanged[:4]) + (f" and {len(exchanged) - 4:,} more" if len(exchanged) > 4 else "")  # noqa: PLR2004
        return f"rows of the batch replaced: {shown}"

    def batch(self, hand_out: HandOut) -> object:
        """The batch to hand out for this one; random states are put back as for any replay."""
        again = hand_out.again()
        return with_rows(again, self.rows) if hand_out is self.suspects else again
