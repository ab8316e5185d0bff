"""The ways in which one training loop is run: bare, under evenkeel, with checks of one's own, in anomaly mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.modules import module as torch_module
from torch.nn.utils import clip_grad
from torch.optim import Optimizer
from torch.optim import optimizer as torch_optimizer
from torch.utils.data.dataloader import _BaseDataLoaderIter
from workloads import Training

from evenkeel.core.settings import EACH_TENTH_STEP, stop
from evenkeel.guard.guarded import GuardedLoop
from evenkeel.guard.incidents import Record
from evenkeel.guard.loop import Loop
from evenkeel.journal.writer import Journal, journal_path
from evenkeel.step.hooks import listening

BARE, TWIN, EVENKEEL = "bare", "bare again", "evenkeel"
CHECKS, ANOMALY = "isfinite each", "anomaly mode"


class Variant(Protocol):
    """A loop that goes on for a few steps whenever it is its turn."""

    def block(self, num_steps: int) -> float:
        """Make one step to warm up and `num_steps` under the clock; return the seconds of one."""


@dataclass
class Looped:
    """A loop in this process that pauses between its turns.

    What has to be entered for it (patches of torch, a mode) is entered before the warm-up step and left after the
    last one, both outside the clock: it would be felt by the other variants.
    """

    steps: Iterator[None]
    entered: Callable[[], AbstractContextManager[Any]] = nullcontext

    def block(self, num_steps: int) -> float:
        """See `Variant`."""
        with self.entered():
            next(self.steps)
            start = time.perf_counter()
            for _ in range(num_steps):
                next(self.steps)
            return (time.perf_counter() - start) / num_steps


def our_variants(training: Training, guarded: GuardedLoop) -> dict[str, Variant]:
    """The variants that take turns on one and the same training.

    The same memory serves them all, so that no one is faster for where its parameters happen to lie.
    """
    return {
        BARE: Looped(training.steps()),
        TWIN: Looped(training.steps()),
        EVENKEEL: Looped(training.steps(), lambda: listening_without_a_trace(guarded, training)),
        CHECKS: Looped(training.steps(each_gradient_finite)),
        ANOMALY: Looped(training.steps(), lambda: torch.autograd.set_detect_anomaly(mode=True)),
    }


@contextmanager
def guarding(training: Training, out: Path) -> Iterator[GuardedLoop]:
    """What `evenkeel run` builds for a program whose only model is this one, with a journal on disk."""
    out.mkdir(parents=True, exist_ok=True)
    with Journal(journal_path(out)) as journal:
        loop = Loop(lambda: (training.model,), EACH_TENTH_STEP)
        guarded = GuardedLoop(loop, Record(out=out, journal=journal), stop())
        yield guarded
        guarded.finish()


@contextmanager
def listening_without_a_trace(guarded: GuardedLoop, training: Training) -> Iterator[None]:
    """Listen as under `evenkeel run`; afterwards torch and the training must be as before.

    Raises:
        RuntimeError: something stayed behind, so the bare loop would pay for it and the ratio would flatter.
    """
    before = fingerprint(training)
    with listening(guarded):
        yield
    left = sorted(name for name, value in fingerprint(training).items() if before.get(name) != value)
    if left:
        raise RuntimeError(
            f"the guard left something behind in {', '.join(left)}: the bare loop is no longer bare. "
            "Let it take back what it put there, or give the guarded loop a training of its own"
        )


def fingerprint(training: Training) -> dict[str, object]:
    """What a guard may change of torch and of a training, under the names of where it does."""
    parameters = list(training.model.parameters())
    return {
        "torch.autograd.backward": torch.autograd.backward,
        "torch.Tensor.backward": torch.Tensor.backward,
        "torch.nn.utils": dict(vars(torch.nn.utils)),
        "torch.nn.utils.clip_grad": dict(vars(clip_grad)),
        "DataLoader iterators": _BaseDataLoaderIter.__next__,
        "Optimizer": dict(vars(Optimizer)),
        "nn.Module": dict(vars(nn.Module)),
        type(training.optimizer).__name__: dict(vars(type(training.optimizer))),
        "hooks of all optimizers": _global_hooks(torch_optimizer),
        "hooks of all modules": _global_hooks(torch_module),
        "the optimizer object": sorted(vars(training.optimizer)),
        "hooks of the optimizer object": [
            len(hooks) for name, hooks in sorted(vars(training.optimizer).items()) if name.endswith("_hooks")
        ],
        "hooks of parameters": [
            (len(p._backward_hooks or ()), len(p._post_accumulate_grad_hooks or ()))  # noqa: SLF001  torch keeps them there
            for p in parameters
        ],
    }


def each_gradient_finite(model: nn.Module) -> None:
    """The check that people write by hand: one reduction and one host sync for each parameter."""
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all().item():
            raise FloatingPointError(
                f"the gradient of {name} is not finite; a workload of the benchmark must be healthy"
            )


def _global_hooks(home: object) -> dict[str, int]:
    found = {name: value for name, value in vars(home).items() if name.startswith("_global_")}
    return {name: len(value) for name, value in found.items() if isinstance(value, dict)}
