"""Evenkeel as a callback of the Trainer of Transformers.

Under `evenkeel run` none is needed. Needs the extra `transformers`.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from numbers import Real
from typing import Any

from typing_extensions import Unpack

from evenkeel.guard.guard import LOG, Guard, GuardSettings
from evenkeel.step.hooks import somebody_listens
from evenkeel.supervision.nan_filter import HIDES

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ModuleNotFoundError as error:
    message = "evenkeel.integrations.transformers needs Transformers: pip install 'evenkeel[transformers]'"
    raise ModuleNotFoundError(message, name="transformers") from error


class EvenkeelCallback(TrainerCallback):
    """Guards `Trainer.train`: a bad step is withheld, comes again, is explained, and stops the training.

    The Trainer itself replaces a loss that is not finite by the mean of the others in what it logs
    (`logging_nan_inf_filter`, on by default): a run that is lost logs 0.0. That is said where it is on.
    Evaluation metrics that are not finite are logged and journaled.

    Example:
        Trainer(..., callbacks=[EvenkeelCallback(policy="skip")])

    Args:
        settings: as for `evenkeel.Guard`: policy, check_parameters, out, experiments, capsules.

    Raises:
        TrainingStopped: out of `train`, when a step was bad and the policy says so.

    Cost: as `Guard`. Where `evenkeel run` or a `Guard` listens already, only evaluation metrics are looked at.
    """

    def __init__(self, **settings: Unpack[GuardSettings]) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self.guard: Guard | None = None

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,  # noqa: ARG002  the signature is the Trainer's
        control: TrainerControl,  # noqa: ARG002  the same
        **kwargs: Any,  # noqa: ANN401  the same
    ) -> None:
        """Listen from here on."""
        self.close()
        if args.logging_nan_inf_filter:
            LOG.warning(HIDES)
        if not somebody_listens():
            self.guard = Guard(kwargs["model"], **self._settings)
            self._stack.enter_context(self.guard.loops())

    def on_evaluate(
        self,
        args: TrainingArguments,  # noqa: ARG002  the same
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002  the same
        **kwargs: Any,  # noqa: ANN401  the same
    ) -> None:
        """Look at what the evaluation came to."""
        for name, value in kwargs.get("metrics", {}).items():
            if not isinstance(value, Real):
                continue
            if self.guard is not None:
                self.guard.metric(name, float(value))
            elif not math.isfinite(value):
                LOG.warning("%s is %s after %d updates", name, value, state.global_step)

    def on_train_end(
        self,
        args: TrainingArguments,  # noqa: ARG002  the same
        state: TrainerState,  # noqa: ARG002  the same
        control: TrainerControl,  # noqa: ARG002  the same
        **kwargs: Any,  # noqa: ANN401, ARG002  the same
    ) -> None:
        """The training is over."""
        self._stack.close()

    def close(self) -> None:
        """Listen no more; to be called after a training that raised, which nobody tells a callback."""
        self._stack.close()
