"""What a training tells while it runs: a line now and then, and how healthy its numbers are."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import click
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim import Optimizer

from evenkeel_recipes.deconvolution.networks.model import Encoded

EVERY = 5.0  # seconds between lines at least


class Progress(Callback):
    """Prints where training is and how long it may last, and logs gradients, latents and the signature each epoch.

    Cost: a norm of the gradients an update. No random number is drawn.
    """

    def __init__(self, score: str) -> None:
        super().__init__()
        self._score = score
        self._norms: list[Tensor] = []
        self._latents: list[Tensor] = []
        self._began = self._told = time.monotonic()
        self._first_epoch = 0
        self._looking = ExitStack()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at what the autoencoder says of each batch."""
        self._began, self._first_epoch = time.monotonic(), trainer.current_epoch
        model: Any = pl_module.model  # Lightning's type knows no attributes
        self._looking.callback(model.autoencoder.register_forward_hook(self._seen).remove)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002  Lightning's own
        """Look no more: a model that is kept would keep the trainer, and that all samples."""
        self._looking.close()

    def _seen(self, module: nn.Module, _: object, encoded: Encoded) -> None:
        if module.training:
            mean, log_var = encoded.mean.detach(), encoded.log_var.detach()
            self._latents.append(torch.stack([mean.mean(), mean.std(), log_var.mean()]))

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, _: Optimizer) -> None:  # noqa: ARG002  Lightning's own
        """The norm of the gradients, before they are clipped."""
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        self._norms.append(nn.utils.get_total_norm(gradients))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the means of the epoch, and tell where training is."""
        norms, latents = torch.stack(self._norms), torch.stack(self._latents).mean(0)
        self._norms.clear()
        self._latents.clear()
        model: Any = pl_module.model
        with torch.no_grad():
            scale = model.signature().norm()
        pl_module.log_dict(
            {
                "health/grad_norm": norms.mean(),
                "health/clip_share": (norms > (trainer.gradient_clip_val or torch.inf)).float().mean(),
                "metrics/mu_mean": latents[0],
                "metrics/mu_std": latents[1],
                "metrics/logvar_mean": latents[2],
                "metrics/S_norm": scale,
            },
            sync_dist=True,
        )
        if trainer.is_global_zero:
            self._tell(trainer)

    def _tell(self, trainer: Trainer) -> None:
        now, done = time.monotonic(), trainer.current_epoch + 1
        if now - self._told < EVERY and done < (trainer.max_epochs or done):
            return
        self._told = now
        an_epoch = (now - self._began) / (done - self._first_epoch)
        left = an_epoch * ((trainer.max_epochs or done) - done)
        score = trainer.callback_metrics.get(self._score)
        scored = "" if score is None else f", {self._score} {float(score):.4g}"
        click.echo(
            f"epoch {done} of at most {trainer.max_epochs}{scored}, {an_epoch:.2g} s an epoch, "
            f"at most {int(left // 60)}:{int(left % 60):02d} left"
        )
