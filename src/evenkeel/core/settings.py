"""What a supervised run was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evenkeel.core.errors import UsageError

PolicyName = Literal["stop", "skip", "observe"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done about a bad step; made by `stop`, `skip` and `observe`."""

    name: PolicyName
    at_most: int = 0  # steps that may be left out before the run is stopped


def stop() -> Policy:
    """Stop where the bad update would have been made."""
    return Policy("stop")


def observe() -> Policy:
    """Report the first bad step, let its update through as it was, and go on."""
    return Policy("observe")


def skip(at_most: int = 3) -> Policy:
    """Leave bad steps out, as if the loop had said `continue` on getting their batch; after `at_most`, stop.

    Raises:
        UsageError: `at_most` is no whole number from 1 up.
    """
    if at_most < 1:
        raise UsageError(f"skip(at_most={at_most!r}): a whole number from 1 up is needed; to skip none, use stop()")
    return Policy("skip", at_most)


def policy_of(given: Policy | str) -> Policy:
    """A policy by its name, with its own defaults; a policy is itself.

    Raises:
        UsageError: there is none of that name.
    """
    if isinstance(given, Policy):
        return given
    makers = {"stop": stop, "skip": skip, "observe": observe}
    if given not in makers:
        raise UsageError(f"there is no policy {given!r}; there are {', '.join(makers)}")
    return makers[given]()


@dataclass(frozen=True, slots=True)
class Every:
    """A schedule: after the n-th step, the 2n-th, and so on."""

    n: int

    def is_due(self, step: int) -> bool:
        """Whether it is, after `step` (0-based)."""
        return (step + 1) % self.n == 0


def every(n: int) -> Every:
    """Judge after each n-th step.

    Raises:
        UsageError: `n` is no whole number from 1 up.
    """
    if n < 1:
        raise UsageError(f"every({n!r}): a whole number from 1 up is needed")
    return Every(n)


EACH_TENTH_STEP = Every(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapsuleWish:
    """What a capsule shall hold, and in which form."""

    keep_data: bool = True  # the batches of the step
    as_zip: bool = False  # one file in place of a directory


LogName = Literal["tensorboard", "wandb", "mlflow"]


@dataclass(frozen=True, slots=True)
class LogWish:
    """Where else incidents shall be written."""

    name: LogName
    place: Path  # a directory, which may not be there yet


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """`evenkeel run`, resolved: every option has its final value."""

    target: str  # path of the script, or the module's name
    as_module: bool
    arguments: tuple[str, ...]
    out: Path  # exists, and belongs to this run
    policy: Policy = Policy("stop")
    check_parameters: Every = EACH_TENTH_STEP
    max_rerun_s: float = 1800.0  # 0: never re-run in a child process
    experiments: bool = True  # a bad step is repeated with one thing changed
    fix_preview: bool = False  # a patch that has proved itself is also written as fix.patch
    capsule: CapsuleWish = CapsuleWish()
    logs: tuple[LogWish, ...] = ()

    @property
    def command(self) -> str:
        """The program with its arguments, as typed."""
        head = ("-m", self.target) if self.as_module else (self.target,)
        return " ".join((*head, *self.arguments))


BeginName = Literal["state", "start"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """`evenkeel replay`, resolved."""

    capsule: Path
    change: str | None = None  # the experiment by its name; None: nothing is changed
    only_list: bool = False  # tell what the capsule holds, and run nothing
    begin: BeginName | None = None  # None: as the capsule says
    program: str | None = None  # where the script lies here, or what the module is called; None: as the capsule says


@dataclass(frozen=True, slots=True)
class RecipeCall:
    """What `evenkeel recipes` was asked to do: a command of a recipe, with arguments that are the recipe's own."""

    name: str
    command: str
    arguments: tuple[str, ...]
