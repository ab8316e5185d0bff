"""The processes that train one model together, as the guard of one of them sees the others."""

from __future__ import annotations

from typing import Protocol

from evenkeel.step.updater import Updater


class Ranks(Protocol):
    """One verdict for all ranks. Every method but `rank` is a collective for the updaters that ranks share."""

    @property
    def rank(self) -> int:
        """Which of them it is."""

    @property
    def size(self) -> int:
        """How many there are."""

    def share(self, updater: Updater) -> bool:
        """Whether the other ranks make the same update at the same time. No collective."""

    def verdict(self, updater: Updater, *, bad: bool) -> bool:
        """Whether the step is bad on any rank that shares the update."""

    def tell(self, updater: Updater, text: str) -> tuple[str, ...]:
        """What every rank has to say about a bad step, by rank; only this one's where the update is not shared."""

    def close(self) -> None:
        """The training is over, well or ill."""


class Alone:
    """A process that trains by itself."""

    rank = 0
    size = 1

    def share(self, updater: Updater) -> bool:  # noqa: ARG002  there is nobody
        """Nobody does."""
        return False

    def verdict(self, updater: Updater, *, bad: bool) -> bool:  # noqa: ARG002  the same
        """Its own."""
        return bad

    def tell(self, updater: Updater, text: str) -> tuple[str, ...]:  # noqa: ARG002  the same
        """Its own."""
        return (text,)

    def close(self) -> None:
        """Nobody waits."""
