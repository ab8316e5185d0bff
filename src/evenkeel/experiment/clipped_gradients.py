"""The run with the norm of its gradients clipped: whether single large updates are what spoils it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from evenkeel.experiment.change import Change
from evenkeel.step.updater import parameters_of


@dataclass(frozen=True, slots=True)
class ClippedGradients(Change):
    """All gradients of an optimizer are scaled so that their norm is at most `max_norm`, just before its update.

    To be in force from the first step: at a failing step it is too late. Gradients that are not finite stay so.
    """

    max_norm: float

    @property
    def name(self) -> str:
        """One for each norm."""
        return f"clipped gradients: {self.max_norm:g}"

    @property
    def changed(self) -> str:
        """In words."""
        return f"the norm of the gradients clipped to {self.max_norm:g} before every update"

    @property
    def remedy(self) -> str:
        """What to do."""
        return (
            "clip the norm between backward and step: "
            f"torch.nn.utils.clip_grad_norm_(model.parameters(), {self.max_norm:g})"
        )

    @contextmanager
    def during(self) -> Iterator[None]:
        """At each update of each optimizer."""

        def before(optimizer: Optimizer, _args: object, _kwargs: object) -> None:
            torch.nn.utils.clip_grad_norm_([p for p in parameters_of(optimizer) if p.grad is not None], self.max_norm)

        handle = register_optimizer_step_pre_hook(before)
        try:
            yield
        finally:
            handle.remove()
