"""A workload's training as a Lightning user runs it; needs the package `lightning`."""

from __future__ import annotations

import logging
import time
import warnings

import torch
from lightning import pytorch as lightning
from torch import Tensor
from workloads import MAX_NORM, Training

WARM_UP_STEPS = 1


class LightningLoop:
    """A Lightning trainer that goes on with one training in each of its turns.

    Each turn is a `fit` of its own on the same model and optimizer. Its set-up is outside the clock, which runs from
    the end of one batch to the end of another.
    """

    def __init__(self, training: Training, *, detect_anomaly: bool) -> None:
        self._training = training
        self._module = _Module(training)
        self._detect_anomaly = detect_anomaly

    def block(self, num_steps: int) -> float:
        """See `Variant`."""
        clock = _Clock()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on workers and on the cost of anomaly mode, at every turn
            trainer = self._trainer(num_steps + WARM_UP_STEPS, clock)
            trainer.fit(self._module, self._training.loader)
        return (clock.ends[-1] - clock.ends[WARM_UP_STEPS - 1]) / num_steps

    def _trainer(self, num_steps: int, clock: lightning.Callback) -> lightning.Trainer:
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        return lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_steps=num_steps,
            callbacks=[clock],
            gradient_clip_val=MAX_NORM if self._training.clipped else None,
            detect_anomaly=self._detect_anomaly,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )


class _Module(lightning.LightningModule):
    def __init__(self, training: Training) -> None:
        super().__init__()
        self.model = training.model
        self._optimizer = training.optimizer

    def training_step(self, batch: tuple[Tensor, ...], _index: int) -> Tensor:
        return self.model.loss(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self._optimizer


class _Clock(lightning.Callback):
    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_given: object, **_named: object) -> None:
        self.ends.append(time.perf_counter())
