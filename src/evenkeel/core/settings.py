"""What a supervised run was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Policy = Literal["stop", "observe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """`evenkeel run`, resolved: every option has its final value."""

    target: str  # path of the script, or the module's name
    as_module: bool
    arguments: tuple[str, ...]
    out: Path  # exists, is empty, and belongs to this run
    policy: Policy = "stop"
    max_rerun_s: float = 1800.0  # 0: never re-run in a child process

    @property
    def command(self) -> str:
        """The program with its arguments, as typed."""
        head = ("-m", self.target) if self.as_module else (self.target,)
        return " ".join((*head, *self.arguments))
