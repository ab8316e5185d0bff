"""The run with smaller steps: whether the learning rate is all that is too large."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from evenkeel.experiment.change import Change


@dataclass(frozen=True, slots=True)
class SmallerStep(Change):
    """Every learning rate is multiplied by `factor` while an update is made; schedules go on as they would.

    To be in force from the first step: at a failing step it is too late.
    """

    factor: float

    @property
    def name(self) -> str:
        """One for each factor."""
        return f"smaller step: {self.factor:g}"

    @property
    def changed(self) -> str:
        """In words."""
        return f"every learning rate multiplied by {self.factor:g} from the first step on"

    @property
    def remedy(self) -> str:
        """What to do."""
        return (
            f"lower the learning rate to about {self.factor:g} of what it is (below 2 / the largest curvature), or "
            "standardise the inputs so that it may stay"
        )

    @contextmanager
    def during(self) -> Iterator[None]:
        """The rates of before each update are put back right after it."""
        rates: list[tuple[dict[str, Any], Any]] = []

        def before(optimizer: Optimizer, _args: object, _kwargs: object) -> None:
            rates[:] = [(group, group["lr"]) for group in optimizer.param_groups if "lr" in group]
            for group, rate in rates:
                group["lr"] = rate * self.factor

        def after(_optimizer: Optimizer, _args: object, _kwargs: object) -> None:
            for group, rate in rates:
                group["lr"] = rate

        pre, post = register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)
        try:
            yield
        finally:
            pre.remove()
            post.remove()
