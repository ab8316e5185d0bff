"""The loggers that `evenkeel run --log` asks for, opened at the first incident.

Where the program has an active run of Weights & Biases or MLflow of its own, incidents go there; else into a new one at
the place that was asked for, which is local: nothing is sent anywhere unless `WANDB_MODE` says so.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from evenkeel.core.incident import Incident
from evenkeel.core.settings import LogName, LogWish
from evenkeel.integrations.loggers import MLflow, TensorBoard, WandB
from evenkeel.report.logger import IncidentLogger

_PROJECT = "evenkeel"


class WhenNeeded:
    """A logger that is opened by its first incident, so that a healthy run loads and writes nothing for it."""

    def __init__(self, opened: Callable[[], IncidentLogger]) -> None:
        """`opened` makes the logger."""
        self._opened = opened
        self._logger: IncidentLogger | None = None

    def incident(self, incident: Incident) -> None:
        """Pass it on."""
        if self._logger is None:
            self._logger = self._opened()
        self._logger.incident(incident)


def loggers_of(wishes: Sequence[LogWish]) -> tuple[WhenNeeded, ...]:
    """One for each; their libraries were found to be installed when the command line was read."""
    openers: dict[LogName, Callable[[Path], IncidentLogger]] = {
        "tensorboard": _tensorboard,
        "wandb": _wandb,
        "mlflow": _mlflow,
    }
    return tuple(WhenNeeded(partial(openers[wish.name], wish.place)) for wish in wishes)


def _tensorboard(place: Path) -> IncidentLogger:
    return TensorBoard(importlib.import_module("torch.utils.tensorboard").SummaryWriter(place))


def _wandb(place: Path) -> IncidentLogger:
    wandb = importlib.import_module("wandb")
    if wandb.run is not None:
        return WandB(wandb.run)
    place.mkdir(parents=True, exist_ok=True)
    mode = os.environ.get("WANDB_MODE", "offline")
    return WandB(wandb.init(project=_PROJECT, dir=place, mode=mode, settings=wandb.Settings(silent=True)))


def _mlflow(place: Path) -> IncidentLogger:
    mlflow = importlib.import_module("mlflow")
    active = mlflow.active_run()
    if active is not None:
        return MLflow(mlflow.MlflowClient(), active.info.run_id)
    place.mkdir(parents=True, exist_ok=True)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{place / 'mlflow.db'}")
    known = client.get_experiment_by_name(_PROJECT)
    if known is not None:  # of an earlier run that was given the same place
        return MLflow(client, client.create_run(known.experiment_id).info.run_id)
    experiment = client.create_experiment(_PROJECT, artifact_location=(place / "artifacts").as_uri())
    return MLflow(client, client.create_run(experiment).info.run_id)
