"""A change that was tried on a whole run of the program, from its start."""

from __future__ import annotations

from dataclasses import dataclass

from evenkeel.core.edit import Edit
from evenkeel.core.patch import ProofResult


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """What a change did, and how the run went with it."""

    name: str
    changed: str  # in words
    remedy: str  # what to do, where it made the run healthy; "" where that says nothing of a remedy
    edits: tuple[Edit, ...] = ()  # what would make the same change in the user's own text
    proof: ProofResult
    found: tuple[str, ...] = ()  # names of other changes that were found to fit

    @property
    def healthy(self) -> bool:
        """Whether all judged steps were finite, and losses did not grow: a run that fails later is no better."""
        return self.proof.healthy and not _grows(self.proof.losses)


def _grows(losses: tuple[float | None, ...]) -> bool:
    """Whether the last third of a longer run went worse than anything in its first third."""
    known = [loss for loss in losses if loss is not None]
    third = len(known) // 3
    return third > 0 and max(known[-third:]) > max(known[:third])
