"""Evenkeel as a callback of Lightning's Trainer.

Under `evenkeel run` none is needed: the Trainer's loop is guarded as any other, and the ranks that it starts are too.
Needs the extra `lightning`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from torch import Tensor
from typing_extensions import Unpack

from evenkeel.guard.guard import LOG, Guard, GuardSettings
from evenkeel.step.hooks import somebody_listens
from evenkeel.step.patching import patched
from evenkeel.tensors.measure import is_finite

try:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Callback, ModelCheckpoint
except ModuleNotFoundError as error:
    message = "evenkeel.integrations.lightning needs Lightning: pip install 'evenkeel[lightning]'"
    raise ModuleNotFoundError(message, name="lightning") from error


class EvenkeelCallback(Callback):
    """Guards `Trainer.fit`: a bad step is withheld, comes again through `training_step`, is explained, and stops it.

    Validation values that are not finite are logged and journaled, and no checkpoint is ranked by them: Lightning would
    keep the first of them as the best there is.

    Example:
        Trainer(callbacks=[EvenkeelCallback(policy="skip")])

    Args:
        settings: as for `evenkeel.Guard`: policy, check_parameters, out, experiments, capsules.

    Raises:
        TrainingStopped: out of `fit`, when a step was bad and the policy says so.

    Cost: as `Guard`. Where `evenkeel run` or a `Guard` listens already, only validation values are looked at.
    """

    def __init__(self, **settings: Unpack[GuardSettings]) -> None:
        super().__init__()
        self._settings = settings
        self._stack = ExitStack()
        self.guard: Guard | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002  Lightning's own
        """Listen from here on."""
        self._stack.enter_context(patched(ModelCheckpoint, "check_monitor_top_k", _never_by_a_bad_value))
        if not somebody_listens():
            self.guard = Guard(pl_module, **self._settings)
            self._stack.enter_context(self.guard.loops())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002  the same
        """Look at what the validation came to."""
        for name, value in trainer.callback_metrics.items():
            if not is_finite(value) and self.guard is not None:
                self.guard.metric(name, float(value))
            elif not is_finite(value):
                LOG.warning("%s is %s after %d updates", name, float(value), trainer.global_step)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002  the same
        """The training is over."""
        self._stack.close()

    def on_exception(
        self,
        trainer: Trainer,  # noqa: ARG002  the same
        pl_module: LightningModule,  # noqa: ARG002  the same
        exception: BaseException,
    ) -> None:
        """It was stopped, by us or by something else; a step that was about to come again is written down."""
        self._stack.__exit__(type(exception), exception, exception.__traceback__)


def _never_by_a_bad_value(original: Callable[..., bool]) -> Callable[..., bool]:
    def check_monitor_top_k(self: ModelCheckpoint, trainer: Trainer, current: Tensor | None = None) -> bool:
        if current is None or is_finite(current):
            return original(self, trainer, current)
        LOG.warning("no checkpoint is ranked by %s, which is %s", self.monitor, float(current))
        return False

    return check_monitor_top_k
