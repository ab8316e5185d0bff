"""What a failing step began with, as the living objects that hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from evenkeel.capsule.manifest import Missing
from evenkeel.step.listener import Schedule
from evenkeel.step.snapshot import RandomState
from evenkeel.step.updater import Updater
from evenkeel.step.window import HandOut


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Batches, values, generators and everything that moves with a step."""

    hand_outs: tuple[HandOut, ...]
    random: RandomState  # at the step's beginning
    random_at_start: RandomState | None  # of the program; None: nobody was there
    tensors: Mapping[str, Tensor]  # parameters and buffers by name
    updaters: tuple[Updater, ...]  # in the order of their first updates
    schedules: tuple[Schedule, ...]
    scaler: GradScaler | None
    missing: tuple[Missing, ...] = field(default=())  # what the capsule will not hold, known beforehand
