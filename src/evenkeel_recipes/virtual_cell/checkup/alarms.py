"""Failures that stay finite, looked for on some cells before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from evenkeel_recipes.virtual_cell.checkup import looks
from evenkeel_recipes.virtual_cell.checkup.sample import Sample
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.training.material import Material

CLIPPED = 0.01  # how far the norm that clipping leaves may be from the one it is to leave, relative
Look = Callable[[VirtualCell, Sample], str | None]

LOOKS: Mapping[Look, str] = {  # by the phase of training that each belongs to
    looks.loaded_names: "checkpoint",
    looks.trained_control: "config",
    looks.joint_training: "config",
    looks.input_scale: "forward",
    looks.log_variance: "forward",
    looks.observed_library: "forward",
    looks.no_effect: "forward",
    looks.frozen_latents: "forward",
    looks.likelihood_precision: "loss",
    looks.bad_term: "loss",
    looks.likelihood_at_edges: "backward",
    looks.frozen_vae: "backward",
    looks.distance_of_sets: "backward",
    looks.first_update: "optimizer",
    looks.bad_velocity: "sampling",
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """What a look found, with the phase of training that it belongs to."""

    look: str
    phase: str
    says: str

    def __str__(self) -> str:
        """For people."""
        return f"ALARM in {self.phase} ({self.look}): {self.says}"


def alarms(model: VirtualCell, material: Material) -> list[Alarm]:
    """All that is wrong with a recipe; its model and random numbers are left as they are. Cost: about 10 steps."""
    sample, found = Sample.of(material), []
    for look, phase in LOOKS.items():
        with torch.random.fork_rng(devices=[]), _left_as_it_is(model):
            torch.manual_seed(material.config.seed)
            says = look(model, sample)
        if says is not None:
            found.append(Alarm(look.__name__, phase, says))
    return found


@contextmanager
def _left_as_it_is(model: VirtualCell) -> Iterator[None]:
    """What a look may change is put back: what is trained, and which modules are in training mode."""
    asked = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for parameter, requires_grad in asked:
            parameter.requires_grad = requires_grad
        for module, training in modes:
            module.training = training


def alarms_of(history: Sequence[Mapping[str, Any]]) -> Iterator[Alarm]:
    """What only the steps themselves tell: whether it was the gradient that was clipped."""
    for stage in dict.fromkeys(record["stage"] for record in history):
        left = next((r["left_by_clip"] for r in history if r["stage"] == stage and r["left_by_clip"] is not None), 1.0)
        if abs(left - 1) > CLIPPED:
            yield Alarm(
                "clipped_norm",
                "clip",
                f"stage {stage}: clipping left gradients {left:.3g} times as large as it was to; they were scaled then",
            )
