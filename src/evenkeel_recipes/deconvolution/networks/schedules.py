"""How the step size changes over a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lightning.pytorch.utilities.types import OptimizerConfig, OptimizerLRSchedulerConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

Schedule = Callable[[Optimizer, int], OptimizerConfig | OptimizerLRSchedulerConfig]
PATIENCE = 5  # epochs


def constant(optimizer: Optimizer, _: int) -> OptimizerConfig:
    """As it was given."""
    return {"optimizer": optimizer}


def cosine(optimizer: Optimizer, steps: int) -> OptimizerLRSchedulerConfig:
    """It falls to 0 over the run along a cosine."""
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": CosineAnnealingLR(optimizer, steps), "interval": "step"},
    }


def plateau(optimizer: Optimizer, _: int) -> OptimizerLRSchedulerConfig:
    """It is halved where the loss that the module names has not got better for five epochs.

    Lightning would ask for the loss after the checkpoint of an epoch has been written, and a resumed run would lack
    that answer; said to be no plateau, it is asked before.
    """
    scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=PATIENCE)
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": scheduler, "interval": "epoch", "reduce_on_plateau": False},
    }


SCHEDULES: Mapping[str, Schedule] = {"constant": constant, "cosine": cosine, "plateau": plateau}
