"""A patch of the user's own files, and what became of the program that was run with it."""

from __future__ import annotations

from dataclasses import dataclass

from evenkeel.core.case import Symptom


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """One expression and what stands in its place, both on one line."""

    line: int  # from 1, of the unchanged text
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchedFile:
    """The whole text of a file, before and after; line ends as in the file."""

    file: str
    before: str
    after: str
    rewrites: tuple[Rewrite, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofResult:
    """What a changed program did in its failing step and the one after it, each judged exactly."""

    first: int  # the failing step, 0-based count of updates
    loss_before: float | None = None  # of the step before it, which nobody judged
    losses: tuple[float | None, ...] = ()  # of the judged steps that were healthy; None: not one real number
    symptom: Symptom | None = None  # of the first of them that was not
    ended: bool = False  # the program ended by itself before the step after the failing one

    @property
    def healthy(self) -> bool:
        """Whether the failing step was reached, and no judged step was bad."""
        return self.symptom is None and bool(self.losses)

    @property
    def last(self) -> int:
        """The last step that was judged and healthy; below `first` when there was none."""
        return self.first + len(self.losses) - 1
