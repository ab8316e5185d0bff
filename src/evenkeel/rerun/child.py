"""A child process that runs the program again from its start, as it was started here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from evenkeel.core.settings import RunSettings
from evenkeel.step.snapshot import RandomState

PLAN = "plan.json"
LOG = "output.log"


@dataclass(frozen=True, slots=True)
class Beginning:
    """How the program was started, and when; made before it starts."""

    settings: RunSettings
    random: RandomState
    cwd: str
    environment: dict[str, str]
    time_s: float = field(default_factory=time.time)
    monotonic_s: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, settings: RunSettings) -> Beginning:
        """Note the random states, the directory, the environment and the time of now."""
        return cls(settings, RandomState.capture(), str(Path.cwd()), dict(os.environ))


class Children:
    """Runs the program again; what one incident needs may take as long as the settings allow, altogether."""

    def __init__(self, beginning: Beginning) -> None:
        """Nothing has been run yet."""
        self.beginning = beginning
        self._spent_s: dict[int, float] = {}  # by the step that it was about

    def new_directory(self, name: str) -> Path:
        """Where a child is to leave its files; not made yet."""
        parent = self.beginning.settings.out / "rerun"
        names = (name + (f"-{number}" if number > 1 else "") for number in count(1))
        return next(parent / name for name in names if not (parent / name).exists())

    def run(self, module: str, directory: Path, step: int, plan: Mapping[str, Any]) -> str | None:
        """Have `module` carry out a plan for `step` in `directory`, which is made; the output goes to a log there.

        Returns: None when the child has ended, however it did; else a sentence that says why it did not.
        """
        start, limit_s = self.beginning, self.beginning.settings.max_rerun_s
        if time.monotonic() - start.monotonic_s > limit_s:
            return f"running again from the start would take longer than the {limit_s:g} s allowed"
        directory.mkdir(parents=True)
        (directory / PLAN).write_text(json.dumps({**self._program(), **plan}))
        command = [sys.executable, "-m", module, str(directory)]
        begun_s = time.monotonic()
        with (directory / LOG).open("wb") as log:
            try:
                subprocess.run(  # noqa: S603  the program that the user asked us to run
                    command, check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    timeout=max(limit_s - self._spent_s.get(step, 0.0), 0.0),
                    cwd=start.cwd, env={**start.environment, "EVENKEEL_RERUN": "1"},
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return f"the re-run from the start was ended after {limit_s:g} s"
            finally:
                self._spent_s[step] = self._spent_s.get(step, 0.0) + time.monotonic() - begun_s
        return None

    def _program(self) -> dict[str, Any]:
        settings = self.beginning.settings
        return {
            "target": settings.target,
            "as_module": settings.as_module,
            "arguments": list(settings.arguments),
            "command": settings.command,
            "random": self.beginning.random.as_plain(),
        }


def plan_in(directory: Path) -> dict[str, Any]:
    """In the child: what is to be done. The random states are put back to those at the program's start."""
    plan: dict[str, Any] = json.loads((directory / PLAN).read_text())
    RandomState.from_plain(plan["random"]).restore()
    return plan


def place(path: Path, text: str) -> None:
    """In the child: leave a file for the parent, whole or not at all."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(text)
    draft.replace(path)
