"""The run without one update: whether training is healthy when the bad step is left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from evenkeel.experiment.change import Change
from evenkeel.step.updater import drop_gradients


class LeftOut(Change):
    """The first update that an optimizer is about to make has no gradients, so that it makes none; later ones do."""

    name = "step left out"
    changed = "the update of the failing step left out"
    remedy = "skip this step and count it (policy=evenkeel.skip()), on all ranks alike; never scale by a bad number"
    took_effect = False

    @contextmanager
    def during(self) -> Iterator[None]:
        """Up to the end of the run, and only once."""

        def before(optimizer: Optimizer, _args: object, _kwargs: object) -> None:
            if not self.took_effect:
                self.took_effect = True
                drop_gradients([optimizer])

        handle = register_optimizer_step_pre_hook(before)
        try:
            yield
        finally:
            handle.remove()
