"""Checkpoints of a training: none is written of numbers that are not finite, so that the last good one stays."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

LOG = logging.getLogger("evenkeel_recipes.deconvolution")


class FiniteCheckpoint(ModelCheckpoint):
    """Lightning's, where parameters, buffers, state of the optimizer and all metrics are finite; else none.

    Cost: each tensor is read once an epoch.
    """

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write after a validation."""
        if _is_finite(trainer, pl_module):
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write after an epoch."""
        if _is_finite(trainer, pl_module):
            super().on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write where none was written yet."""
        if _is_finite(trainer, pl_module):
            super().on_train_end(trainer, pl_module)


def _is_finite(trainer: Trainer, module: LightningModule) -> bool:
    for name, tensor in _kept(trainer, module):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            LOG.warning("no checkpoint after %d updates: %s is not finite", trainer.global_step, name)
            return False
    return True


def _kept(trainer: Trainer, module: LightningModule) -> Iterator[tuple[str, Tensor]]:
    yield from module.state_dict().items()
    for optimizer in trainer.optimizers:
        for place, state in enumerate(optimizer.state.values()):
            yield from ((f"{name} of parameter {place}", kept) for name, kept in state.items() if torch.is_tensor(kept))
    yield from trainer.callback_metrics.items()
