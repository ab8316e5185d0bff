"""The errors that evenkeel raises.

EvenkeelError
└── UsageError          the command or the call is wrong; exit status 2
TrainingStopped         not an error: SystemExit with status 3, raised where the bad step was to be updated
ProgramRefused          SystemExit with a sentence: the program cannot be supervised; status 2 of `evenkeel run`
"""

from __future__ import annotations

STOPPED_STATUS = 3
USAGE_STATUS = 2
NOTHING_SUPERVISED_STATUS = 4


class EvenkeelError(Exception):
    """Any error of evenkeel itself."""


class UsageError(EvenkeelError):
    """The command, an argument or a call cannot be carried out as given; the text says what to do instead."""


class ProgramRefused(SystemExit):
    """The program does something under which its steps cannot be supervised; the text says what to do instead.

    A SystemExit, so that frameworks which catch every Exception (Hydra) let it pass; Python prints its text.
    """


class TrainingStopped(SystemExit):
    """Training was stopped on an incident. A SystemExit, so that `except Exception` in a script lets it pass."""

    def __init__(self, step: int) -> None:
        """Stop with status 3 at `step` (0-based count of optimizer.step() calls)."""
        super().__init__(STOPPED_STATUS)
        self.step = step

    def __str__(self) -> str:
        """Name the step."""
        return f"training stopped by evenkeel at step {self.step}"
