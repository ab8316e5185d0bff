"""The three stages. One loop serves them all; a stage says what is trained, on which batches, with which loss."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

import evenkeel
from evenkeel_recipes.kit.outcome import peak_memory
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.training.devices import device_of_model, peaks_on
from evenkeel_recipes.virtual_cell.training.progress import Progress, read_progress, write_progress
from evenkeel_recipes.virtual_cell.training.ranks import Loss, Ranks
from evenkeel_recipes.virtual_cell.training.seen import Seen, left_by_clip, list_large

LOG = logging.getLogger("virtual_cell")


@dataclass(frozen=True)
class Stage:
    """What one stage trains.

    Attributes:
        batches: the batches of an epoch; called once an epoch, after the seed was set.
        loss: loss and terms of a batch in an epoch.
        validation: named numbers at the end of an epoch, without gradient.
        constants: named numbers of the stage, written beside each epoch.
        score: which number of `validation` ends the stage after `patience` epochs without a better one.
        inputs: what tells apart the numbers that it is trained on; whoever resumes needs the same.
    """

    name: str
    epochs: int
    lr: float
    parameters: list[nn.Parameter]
    batches: Callable[[int], DataLoader[Any]]
    num_batches: int
    loss: Loss
    validation: Callable[[], Mapping[str, float]]
    averaged: AveragedModel | None = None
    constants: Mapping[str, float | None] = field(default_factory=dict)
    patience: int = 0
    score: str = "val_loss"
    inputs: str = ""


@dataclass(frozen=True)
class Running:
    """How stages are run.

    Attributes:
        out: where the progress of each stage and the history go.
        resume: whether to go on after the last epoch found there.
        has_fault: whether a failure was planted, such as one by which parameters get no gradient.
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
    has_fault: bool = False
    ranks: Ranks = field(default_factory=Ranks)


@dataclass(frozen=True)
class Loop:
    """One stage while it runs."""

    stage: Stage
    model: VirtualCell
    running: Running
    objective: Loss
    guard: evenkeel.Guard
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR

    @property
    def updates(self) -> int:
        """How many updates the optimizer has made."""
        return max((int(state["step"]) for state in self.optimizer.state.values()), default=0)

    def judged(self, name: str, value: float) -> float | None:
        """A number that epochs are compared by; None, and told, where it is not finite, so that it never ranks."""
        self.guard.metric(f"{self.stage.name} {name}", value)
        return value if math.isfinite(value) else None


def run_stage(stage: Stage, model: VirtualCell, running: Running) -> list[dict[str, object]]:
    """Train one stage to its end; gives a record an epoch.

    Raises:
        evenkeel.TrainingStopped: a loss, gradient or parameter was not finite; `out/evenkeel` tells why.
        Refused: what is to be resumed is of another model, or was trained on other latents.
    """
    ranks = running.ranks
    _ask_for_gradients(model, stage.parameters)
    lr = model.parts.learning_rate(stage.lr)
    optimizer = torch.optim.AdamW(stage.parameters, lr=lr, weight_decay=running.weight_decay, fused=True)
    schedule = LambdaLR(optimizer, _cosine(stage.epochs * stage.num_batches) if running.cosine else _constant)
    progress = Progress(stage.name, model, optimizer, schedule, stage.averaged, stage.inputs)
    history = read_progress(running.out, progress) if running.resume else []
    objective = ranks.objective(model, stage.loss, may_miss=running.has_fault)
    watched = objective if isinstance(objective, nn.Module) else model
    out = _fresh(running.out / "evenkeel" / stage.name)
    ranks.wait()  # until all have found the same directory, which then is no longer fresh
    guard = evenkeel.Guard(watched, optimizer, policy=running.policy, out=out)
    loop = Loop(stage, model, running, objective, guard, optimizer, schedule)
    for epoch in range(len(history), stage.epochs):
        if _is_over(history, stage):
            LOG.info("%s: no better %s for %d epochs; the stage ends", stage.name, stage.score, stage.patience)
            break
        torch.manual_seed(_seed(running.seed, stage.name, epoch))
        record = _epoch(loop, epoch)
        history.append(record)
        if ranks.is_first:
            write_progress(running.out, progress, history)
            _tell(running.out, record)
    guard.finish()
    return history


def _epoch(loop: Loop, epoch: int) -> dict[str, object]:
    stage, model, running = loop.stage, loop.model, loop.running
    began, cpu, seen, before = time.monotonic(), time.process_time(), Seen(), loop.updates
    batches, device = stage.batches(epoch), device_of_model(model)
    for batch in loop.guard.batches(batches):
        precision = torch.autocast(device.type, torch.bfloat16, enabled=running.bfloat16)
        with running.ranks.drawing_for(batch), precision:
            loss, terms = loop.objective(batch, epoch)
        norm = model.parts.update(loss, loop.optimizer, stage.parameters, running.clip)
        loop.schedule.step()
        if stage.averaged is not None:
            stage.averaged.update_parameters(model.field)
        seen.note(loss, norm, terms)
        seen.left = seen.left or left_by_clip(stage.parameters, min(float(norm), running.clip))
        if len(seen.losses) % running.listing_interval == 0:
            list_large(model, f"{stage.name}, epoch {epoch}", max(1.0, float(norm) / running.clip))
    return {
        "stage": stage.name,
        "epoch": epoch,
        **seen.means(running.clip, running.ranks),
        "left_by_clip": seen.left,
        **{name: loop.judged(name, value) for name, value in stage.validation().items()},
        **stage.constants,
        "steps": loop.updates - before,
        "skipped": len(batches) - (loop.updates - before),
        "nan_step": running.ranks.first(None if loop.guard.incident is None else loop.guard.incident.case.step),
        "lr": loop.optimizer.param_groups[0]["lr"],
        "seconds": round(time.monotonic() - began, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "peak_memory_bytes": peak_memory(),
        **peaks_on(device),
    }


def _cosine(total: int) -> Callable[[int], float]:
    return lambda step: 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, total))))


def _constant(_step: int) -> float:
    return 1.0


def _ask_for_gradients(model: VirtualCell, parameters: Sequence[nn.Parameter]) -> None:
    """Of what is trained, and of nothing else."""
    model.requires_grad_(requires_grad=False)
    for parameter in parameters:
        parameter.requires_grad = True


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


def _seed(seed: int, stage: str, epoch: int) -> int:
    """Of one epoch, so that an epoch is the same whether or not the run was interrupted before it."""
    return (seed * 1_000_003 + sum(map(ord, stage))) * 100_003 + epoch


def _fresh(directory: Path) -> Path:
    """The directory, or the same with a number where that holds something already."""
    number, found = 2, directory
    while found.exists() and any(found.iterdir()):
        found, number = directory.with_name(f"{directory.name}-{number}"), number + 1
    return found
