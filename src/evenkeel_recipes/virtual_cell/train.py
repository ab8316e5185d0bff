"""The three stages. One loop serves them all; a stage says what is trained, on which batches, with which loss."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

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
    batches: Callable[[int], Iterable[Any]]
    num_batches: int
    loss: Callable[[Any, int], tuple[Tensor, Mapping[str, Tensor]]]
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
    policy: Literal["stop", "skip", "observe"]
    clip: float
    weight_decay: float
    cosine: bool
    bfloat16: bool
    listing_interval: int
    resume: bool


@dataclass(frozen=True)
class Loop:
    """One stage while it runs."""

    stage: Stage
    model: VirtualCell
    running: Running
    guard: evenkeel.Guard
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR


def run_stage(stage: Stage, model: VirtualCell, running: Running) -> list[dict[str, object]]:
    """Train one stage to its end; gives a record an epoch.

    Raises:
        evenkeel.TrainingStopped: a loss, gradient or parameter was not finite; `out/evenkeel` tells why.
    """
    lr = model.parts.learning_rate(stage.lr)
    optimizer = torch.optim.AdamW(stage.parameters, lr=lr, weight_decay=running.weight_decay, fused=True)
    schedule = LambdaLR(optimizer, _cosine(stage.epochs * stage.num_batches) if running.cosine else _constant)
    progress = Progress(stage.name, model, optimizer, schedule, stage.averaged)
    history = read_progress(running.out, progress) if running.resume else []
    guard = evenkeel.Guard(model, optimizer, policy=running.policy, out=_fresh(running.out / "evenkeel" / stage.name))
    loop = Loop(stage, model, running, guard, optimizer, schedule)
    for epoch in range(len(history), stage.epochs):
        if _is_over(history, stage):
            LOG.info("%s: no better %s for %d epochs; the stage ends", stage.name, stage.score, stage.patience)
            break
        torch.manual_seed(_seed(running.seed, stage.name, epoch))
        record = _epoch(loop, epoch)
        history.append(record)
        write_progress(running.out, progress, history)
        _tell(running.out, record)
    guard.finish()
    return history


def _epoch(loop: Loop, epoch: int) -> dict[str, object]:
    stage, model, clip = loop.stage, loop.model, loop.running.clip
    began, cpu, seen = time.monotonic(), time.process_time(), Seen()
    for batch in loop.guard.batches(stage.batches(epoch)):
        with torch.autocast("cpu", torch.bfloat16, enabled=loop.running.bfloat16):
            loss, terms = stage.loss(batch, epoch)
        norm = model.parts.update(loss, loop.optimizer, stage.parameters, clip)
        loop.schedule.step()
        if stage.averaged is not None:
            stage.averaged.update_parameters(model.field)
        seen.note(loss, norm, terms)
        if len(seen.losses) % loop.running.listing_interval == 0:
            _list_large(model, stage.name, epoch)
    return {
        "stage": stage.name,
        "epoch": epoch,
        **seen.means(clip),
        **stage.validation(),
        **stage.constants,
        "nan_step": None if loop.guard.incident is None else loop.guard.incident.case.step,
        "lr": loop.optimizer.param_groups[0]["lr"],
        "seconds": round(time.monotonic() - began, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
    }


@dataclass
class Seen:
    """What the steps of an epoch came to."""

    losses: list[Tensor] = field(default_factory=list)
    norms: list[Tensor] = field(default_factory=list)
    terms: list[Mapping[str, Tensor]] = field(default_factory=list)

    def note(self, loss: Tensor, norm: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Add a step."""
        self.losses.append(loss.detach())
        self.norms.append(norm.detach())
        self.terms.append({name: value.detach() for name, value in terms.items()})

    def means(self, clip: float) -> Mapping[str, float | int | None]:
        """Means over the steps, each term by its name."""
        names = self.terms[0] if self.terms else ()
        norms = torch.stack(self.norms)
        return {
            "train_loss": _finite(torch.stack(self.losses).mean()),
            **{name: _finite(torch.stack([terms[name] for terms in self.terms]).mean()) for name in names},
            "grad_norm": _finite(norms.mean()),
            "clipped": float((norms > clip).float().mean()),
            "steps": len(self.losses),
        }


def _cosine(total: int) -> Callable[[int], float]:
    return lambda step: 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, total))))


def _constant(_step: int) -> float:
    return 1.0


def _list_large(model: VirtualCell, stage: str, epoch: int) -> None:
    if not LOG.isEnabledFor(logging.DEBUG):
        return
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and float(parameter.grad.abs().max()) > LARGE_GRADIENT:
            LOG.debug(
                "%s, epoch %d: gradient of %s reaches %.3g", stage, epoch, name, float(parameter.grad.abs().max())
            )


def _is_over(history: list[dict[str, object]], stage: Stage) -> bool:
    scores = [float(value) for record in history if isinstance(value := record.get(stage.score), float)]
    return (
        bool(stage.patience)
        and len(scores) > stage.patience
        and min(scores[-stage.patience :]) >= min(scores[: -stage.patience])
    )


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
