"""Averaged weights: what is validated, kept and returned, while the optimizer goes on with its own."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from evenkeel_recipes.kit.refusal import Refused


class Averaging(Callback):
    """An exponential moving average of the weights, that begins with those after the first update.

    `state_dict` of a checkpoint holds the averages, `optimized` what the optimizer goes on with; both are read again.
    Lightning's own callback for this is younger than the oldest Lightning that this recipe runs with.

    Raises:
        Refused: a run is resumed from a checkpoint that holds no averages.

    Cost: the weights once more, and one pass over them an update.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self._decay = decay
        self._averaged: AveragedModel

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002  Lightning's own
        """Begin, on the device of the module; where that moves, the averages follow."""
        self._averaged = AveragedModel(pl_module, multi_avg_fn=get_ema_multi_avg_fn(self._decay))  # type: ignore[no-untyped-call]  # torch has no types there

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002  the same
        """To the device that the module has come to."""
        self._averaged.to(pl_module.device)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:  # noqa: ARG002  the same
        """After each update."""
        self._averaged.update_parameters(pl_module)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002  the same
        """Averages are validated."""
        self._exchange(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002  the same
        """And the optimizer goes on with its own."""
        self._exchange(pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002  the same
        """The averages are what is left; the last checkpoint has been written before."""
        self._exchange(pl_module)

    @torch.no_grad()
    def _exchange(self, pl_module: LightningModule) -> None:
        for average, own in zip(self._averaged.module.parameters(), pl_module.parameters(), strict=True):
            held = own.clone()
            own.copy_(average)
            average.copy_(held)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002  the same
        """Both kinds of weights, and of how many updates the averages are."""
        checkpoint["optimized"] = checkpoint["state_dict"]
        checkpoint["state_dict"] = self._averaged.module.state_dict()
        checkpoint["n_averaged"] = self._averaged.n_averaged

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002  the same
        """Both, where they were; Lightning has given the module the averages before."""
        if "optimized" not in checkpoint:
            raise Refused("the checkpoint holds no averaged weights: resume without --ema, as the run began")
        self._averaged.module.load_state_dict(checkpoint["state_dict"])
        self._averaged.n_averaged.copy_(checkpoint["n_averaged"])
        pl_module.load_state_dict(checkpoint["optimized"])
