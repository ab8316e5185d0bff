"""The three stages. One loop serves them all; a stage says what is trained, on which batches, with which loss."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

import evenkeel
from evenkeel_recipes.virtual_cell.model import VirtualCell
from evenkeel_recipes.virtual_cell.progress import Progress, read_progress, write_progress

LOG = logging.getLogger("virtual_cell")
LARGE_GRADIENT = 100.0


@dataclass(frozen=True)
class Stage:
    """What one stage trains.

    Attributes:
        batches: the batches of an epoch; called once an epoch, after the seed was set.
        loss: loss and terms of a batch in an epoch.
        validation: named numbers at the end of an epoch, without gradient.
        constants: named numbers of the stage, written beside each epoch.
        score: which number of `validation` ends the stage after `patience` epochs without a better one.
    """

    name: str
    epochs: int
    lr: float
    parameters: list[nn.Parameter]
    batches: Callable[[int], Iterable[tuple[Tensor, ...]]]
    num_batches: int
    loss: Callable[[tuple[Tensor, ...], int], tuple[Tensor, Mapping[str, Tensor]]]
    validation: Callable[[], Mapping[str, float]]
    averaged: AveragedModel | None = None
    constants: Mapping[str, float | None] = field(default_factory=dict)
    patience: int = 0
    score: str = "val_loss"


@dataclass(frozen=True)
class Running:
    """How stages are run.

    Attributes:
        out: where the progress of each stage and the history go.
        resume: whether to go on after the last epoch found there.
    """

    out: Path
    seed: int
    policy: str
    clip: float
    weight_decay: float
    cosine: bool
    bfloat16: bool
    listing_interval: int
    resume: bool


def run_stage(stage: Stage, model: VirtualCell, running: Running) -> list[dict[str, object]]:
    """Train one stage to its end; gives a record an epoch.

    Raises:
        evenkeel.TrainingStopped: a loss, gradient or parameter was not finite; `out/evenkeel` tells why.
    """
    parts = model.parts
    optimizer = torch.optim.AdamW(stage.parameters, lr=parts.learning_rate(stage.lr), weight_decay=running.weight_decay)
    total = max(1, stage.epochs * stage.num_batches)
    schedule = LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(1.0, step / total))) if running.cosine else 1.0)
    progress = Progress(stage.name, model, optimizer, schedule, stage.averaged)
    history = read_progress(running.out, progress) if running.resume else []
    guard = evenkeel.Guard(model, optimizer, policy=running.policy, out=_fresh(running.out / "evenkeel" / stage.name))  # type: ignore[arg-type]
    for epoch in range(len(history), stage.epochs):
        if _is_over(history, stage):
            LOG.info("%s: no better %s for %d epochs; the stage ends", stage.name, stage.score, stage.patience)
            break
        torch.manual_seed(_seed(running.seed, stage.name, epoch))
        record = _epoch(stage, model, running, guard, optimizer, schedule, epoch)
        history.append(record)
        write_progress(running.out, progress, history)
        _tell(running.out, record)
    guard.finish()
    return history


def _epoch(  # noqa: PLR0913  what a loop needs
    stage: Stage, model: VirtualCell, running: Running, guard: evenkeel.Guard, optimizer: torch.optim.Optimizer,
    schedule: LambdaLR, epoch: int,
) -> dict[str, object]:  # fmt: skip
    began = time.monotonic()
    losses, norms, terms = [], [], []
    for batch in guard.batches(stage.batches(epoch)):
        with torch.autocast("cpu", torch.bfloat16, enabled=running.bfloat16):
            loss, named = stage.loss(batch, epoch)
        norm = model.parts.update(loss, optimizer, stage.parameters, running.clip)
        schedule.step()
        if stage.averaged is not None:
            stage.averaged.update_parameters(model.field)
        losses.append(loss.detach())
        norms.append(norm.detach())
        terms.append(torch.stack([value.detach() for value in named.values()]))
        if len(losses) % running.listing_interval == 0:
            _list_large(model, stage.name, epoch)
    norm_of_steps = torch.stack(norms)
    return {
        "stage": stage.name,
        "epoch": epoch,
        "train_loss": _finite(torch.stack(losses).mean()),
        **{name: _finite(value) for name, value in zip(named, torch.stack(terms).mean(0), strict=True)},
        **stage.validation(),
        **stage.constants,
        "grad_norm": _finite(norm_of_steps.mean()),
        "clipped": float((norm_of_steps > running.clip).float().mean()),
        "steps": len(losses),
        "nan_step": None if guard.incident is None else guard.incident.step,
        "lr": optimizer.param_groups[0]["lr"],
        "seconds": round(time.monotonic() - began, 3),
    }


def _list_large(model: VirtualCell, stage: str, epoch: int) -> None:
    if not LOG.isEnabledFor(logging.DEBUG):
        return
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and float(parameter.grad.abs().max()) > LARGE_GRADIENT:
            LOG.debug("%s, epoch %d: gradient of %s reaches %.3g", stage, epoch, name, float(parameter.grad.abs().max()))


def _is_over(history: list[dict[str, object]], stage: Stage) -> bool:
    scores = [float(value) for record in history if isinstance(value := record.get(stage.score), float)]
    return bool(stage.patience) and len(scores) > stage.patience and min(scores[-stage.patience :]) >= min(scores[: -stage.patience])


def _tell(out: Path, record: Mapping[str, object]) -> None:
    with (out / "history.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    numbers = (f"{key} {value:.4g}" for key, value in record.items() if isinstance(value, float))
    LOG.info("%s epoch %d: %s", record["stage"], record["epoch"], ", ".join(numbers))


def _finite(value: Tensor) -> float | None:
    """The number as JSON knows it; None where there is none (under the policies "skip" and "observe")."""
    number = float(value)
    return number if math.isfinite(number) else None


def _seed(seed: int, stage: str, epoch: int) -> int:
    """Of one epoch, so that an epoch is the same whether or not the run was interrupted before it."""
    return (seed * 1_000_003 + sum(map(ord, stage))) * 100_003 + epoch


def _fresh(directory: Path) -> Path:
    """The directory, or the same with a number where that holds something already."""
    number, found = 2, directory
    while found.exists() and any(found.iterdir()):
        found, number = directory.with_name(f"{directory.name}-{number}"), number + 1
    return found
