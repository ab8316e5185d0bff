"""Where a stage stands after an epoch: everything that the next epoch depends on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from evenkeel_recipes.kit.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.model.model import VirtualCell


@dataclass(frozen=True)
class Progress:
    """What is kept and put back.

    Attributes:
        inputs: what tells apart the numbers that the stage is trained on.
    """

    stage: str
    model: VirtualCell
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    averaged: AveragedModel | None
    inputs: str = ""


def write_progress(out: Path, progress: Progress, history: list[dict[str, object]]) -> None:
    """Keep the state after an epoch in `out/<stage>-progress.json`; refused where a number is not finite."""
    tensors = {f"model.{name}": value for name, value in progress.model.state_dict().items()}
    if progress.averaged is not None:
        tensors |= {f"averaged.{name}": value for name, value in progress.averaged.state_dict().items()}
    for place, state in progress.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{place}.{name}": value for name, value in state.items()}
    facts = {
        "stage": progress.stage,
        "steps": progress.schedule.last_epoch,
        "inputs": progress.inputs,
        "history": history,
    }
    write_checkpoint(_path(out, progress.stage), Checkpoint({name: t.clone() for name, t in tensors.items()}, facts))


def read_progress(out: Path, progress: Progress) -> list[dict[str, object]]:
    """Put back what `write_progress` kept, and give the history; nothing happens where nothing was kept.

    Raises:
        Refused: it is of another model, or was trained on other numbers.
    """
    path = _path(out, progress.stage)
    if not path.is_file():
        return []
    kept = read_checkpoint(path)
    if kept.facts["inputs"] != progress.inputs:
        raise Refused(
            f"{path} was trained on other latents (sha256 {str(kept.facts['inputs'])[:12]}…, now "
            f"{progress.inputs[:12]}…): the cells or the VAE have changed; train without --resume"
        )
    try:
        progress.model.load_state_dict(_under("model.", kept.tensors))
    except RuntimeError as error:
        raise Refused(
            f"{path} is of a model of other sizes; give the same options, or another --out: {error}"
        ) from error
    if progress.averaged is not None:
        progress.averaged.load_state_dict(_under("averaged.", kept.tensors))
    _put_back_optimizer(progress.optimizer, _under("optimizer.", kept.tensors))
    steps = kept.facts["steps"]
    if not isinstance(steps, int):
        raise Refused(f"{path}: the number of steps is {steps!r}")
    progress.schedule.last_epoch = steps
    for group, base, factor in zip(
        progress.optimizer.param_groups, progress.schedule.base_lrs, progress.schedule.lr_lambdas, strict=True
    ):
        group["lr"] = base * factor(steps)
    return list(kept.facts["history"])  # type: ignore[call-overload, no-any-return]  # as it was written


def _put_back_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        place, _, name = key.partition(".")
        state.setdefault(int(place), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _under(prefix: str, tensors: object) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}  # type: ignore[attr-defined]


def _path(out: Path, stage: str) -> Path:
    return out / f"{stage}-progress.json"
