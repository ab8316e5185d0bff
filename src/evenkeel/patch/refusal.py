"""Why a text is left as it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """No patch is made; a sentence without its full stop says why."""

    why: str


class Refused(Exception):
    """Carries a refusal from where it is known to where the patch was asked for; it leaves this room as a value."""

    def __init__(self, why: str) -> None:
        """Refuse with a sentence."""
        super().__init__(why)
        self.refusal = Refusal(why)
