"""Transformers' Trainer hides losses that are not finite from its log; where a training stopped for one, that is said.

Source: `TrainingArguments.logging_nan_inf_filter`, on by default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from types import ModuleType
from typing import Any

from evenkeel.core.errors import TrainingStopped
from evenkeel.guard.guard import LOG
from evenkeel.step.imports import when_imported
from evenkeel.step.patching import patched

HIDES = (
    "the Trainer logs the mean of other steps, 0.0 at first, in the place of a loss that is not finite "
    "(logging_nan_inf_filter=True); set it to False to see what the losses are"
)


@contextmanager
def filter_reported() -> Iterator[None]:
    """Say so after each `Trainer.train` that evenkeel stopped, where the filter is on."""
    with ExitStack() as stack:
        stack.enter_context(when_imported("transformers.trainer", partial(_follow, stack)))
        yield


def _follow(stack: ExitStack, module: ModuleType) -> None:
    stack.enter_context(patched(module.Trainer, "train", _telling))


def _telling(original: Callable[..., Any]) -> Callable[..., Any]:
    def train(trainer: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(trainer, *args, **kwargs)
        except TrainingStopped:
            if trainer.args.logging_nan_inf_filter:
                LOG.warning("evenkeel: %s", HIDES)
            raise

    return train
