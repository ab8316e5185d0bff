"""A line of source text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line of the user's own code, innermost frame first found outside torch and evenkeel."""

    file: str
    line: int
    scope: str  # enclosing function, "<module>" at top level
    source: str  # the line's text without indentation; "" when the file cannot be read

    def __str__(self) -> str:
        """`file:line in scope`, as a person would cite it."""
        return f"{self.file}:{self.line} in {self.scope}"
