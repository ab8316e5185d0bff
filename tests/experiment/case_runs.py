"""Runs of the scripts in bench/cases with a change in force from the failing step on."""

from __future__ import annotations

import json
import linecache
import math
import runpy
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from evenkeel.core.case import Case, Origin, Symptom
from evenkeel.core.operation import Operation
from evenkeel.core.place import Place
from evenkeel.experiment.change import Change

CASES = Path(__file__).parents[2] / "bench" / "cases"


class Enough(BaseException):
    """The step after the failing one was seen."""


@dataclass
class Run:
    """What was seen of each update: whether loss, gradients and parameters, before and after it, were finite."""

    last: int
    step: int = 0
    loss: float = math.nan
    healthy: list[bool] = field(default_factory=list)

    def before(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """Look at loss, gradients and parameters."""
        tensors = [t for p in parameters_of(optimizer) for t in (p, p.grad) if t is not None]
        self.healthy.append(math.isfinite(self.loss) and all(bool(t.isfinite().all()) for t in tensors))

    def after(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """Look at the parameters again."""
        self.healthy[-1] &= all(bool(p.isfinite().all()) for p in parameters_of(optimizer))
        self.step += 1
        if self.step > self.last:
            raise Enough


def parameters_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """All that it updates."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def truth_of(name: str) -> dict[str, object]:
    """What is known of a case."""
    return json.loads((CASES / f"{name}.json").read_text())


def nonfinite_cases() -> set[str]:
    """The cases in which something becomes infinite or nan."""
    return {path.stem for path in CASES.glob("*.json") if truth_of(path.stem)["step"] is not None}


def case_of(name: str, function: str) -> Case:
    """A case as the locator would describe it."""
    truth, file = truth_of(name), str(CASES / f"{name}.py")
    line = int(str(truth["line"]))
    place = Place(file=file, line=line, scope=str(truth["function"]), source=linecache.getline(file, line).strip())
    operation = Operation(index=0, op=f"aten.{function}.default", function=function, phase="forward", place=place)
    return Case(
        step=int(str(truth["step"])),
        phase="forward",
        symptom=Symptom(kind="loss", name="loss"),
        reproduced=True,
        origin=Origin(operation=operation),
    )


def run(name: str, change: Change) -> Run:
    """Run the script to the step after the failing one; the change is in force in these two."""
    first = int(str(truth_of(name)["step"]))
    seen = Run(last=first + 1)
    with ExitStack() as stack:
        for register, look in (
            (register_optimizer_step_pre_hook, seen.before),
            (register_optimizer_step_post_hook, seen.after),
        ):
            stack.callback(register(look).remove)
        stack.enter_context(patch("torch.autograd.backward", _listening(seen)))
        stack.enter_context(patch("sys.argv", [f"{name}.py"]))
        stack.enter_context(redirect_stdout(StringIO()))
        if first == 0:
            stack.enter_context(change.during())
        else:
            stack.callback(register_optimizer_step_post_hook(_entering(seen, first, stack, change)).remove)
        with suppress(Enough):
            runpy.run_path(str(CASES / f"{name}.py"), run_name="__main__")
    return seen


def _entering(seen: Run, first: int, stack: ExitStack, change: Change) -> Callable[..., None]:
    def hook(*_: object) -> None:
        if seen.step == first:
            stack.enter_context(change.during())

    return hook


def _listening(seen: Run) -> Callable[..., None]:
    backward = torch.autograd.backward

    def heard(tensors: Tensor, *args: object, **kwargs: object) -> None:
        seen.loss = float(tensors.detach())
        backward(tensors, *args, **kwargs)  # type: ignore[arg-type]

    return heard
