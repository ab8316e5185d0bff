"""Non-finite losses, gradients, parameters and buffers: one suspicion a step, confirmed exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.core.case import Symptom, SymptomKind
from evenkeel.tensors.measure import digest, is_finite, suspicion

Namer = Callable[[Tensor], str]


@dataclass(frozen=True, slots=True)
class Watched:
    """The tensors that a verdict is about, in the order in which they are judged."""

    losses: Sequence[Tensor]
    gradients: Sequence[tuple[Tensor, Tensor]] = ()  # (parameter, its gradient)
    buffers: Sequence[Tensor] = ()

    def tensors(self) -> Iterable[Tensor]:
        """All of them."""
        yield from self.losses
        yield from (gradient for _, gradient in self.gradients)
        yield from self.buffers


@dataclass(frozen=True, slots=True)
class Sighting:
    """A symptom and the bits by which a replay is judged."""

    symptom: Symptom
    bits: str
    tensors: tuple[Tensor, ...]

    def repeats(self, other: Sighting | None) -> bool:
        """Whether the other one is the same symptom to the bit."""
        return other is not None and self.bits == other.bits and self.symptom.names == other.symptom.names


def look(watched: Watched, name_of: Namer) -> Sighting | None:
    """Judge losses, then gradients, then buffers; None when every element is finite.

    Cost: one fused reduction and one host sync when all is well; exact counts only after a suspicion.
    """
    flag = suspicion(watched.tensors())
    if flag is None or math.isfinite(float(flag)):
        return None
    everything = tuple(watched.losses) + tuple(g for _, g in watched.gradients)
    for kind, named in _groups(watched, name_of):
        bad = [(name, tensor) for name, tensor in named if not is_finite(tensor)]
        if bad:
            return _sighting(kind, bad, everything)
    return None


def look_at_parameters(parameters: Sequence[Tensor], name_of: Namer) -> Sighting | None:
    """Judge parameters after an update; None when every element is finite. Cost as `look`."""
    flag = suspicion(parameters)
    if flag is None or math.isfinite(float(flag)):
        return None
    bad = [(name_of(p), p) for p in parameters if not is_finite(p)]
    return _sighting("parameter", bad, tuple(p for _, p in bad)) if bad else None


def _groups(watched: Watched, name_of: Namer) -> Iterable[tuple[SymptomKind, list[tuple[str, Tensor]]]]:
    yield "loss", [(f"loss[{i}]" if i else "loss", loss) for i, loss in enumerate(watched.losses)]
    yield "gradient", [(name_of(parameter), gradient) for parameter, gradient in watched.gradients]
    yield "buffer", [(name_of(buffer), buffer) for buffer in watched.buffers]


def _sighting(kind: SymptomKind, bad: list[tuple[str, Tensor]], judged_by: tuple[Tensor, ...]) -> Sighting:
    names = tuple(name for name, _ in bad)
    value = _scalar(bad[0][1]) if kind == "loss" else None
    symptom = Symptom(kind=kind, name=names[0], names=names, value=value)
    return Sighting(symptom, digest(judged_by), tuple(tensor for _, tensor in bad))


def _scalar(loss: Tensor) -> float | None:
    return float(loss.detach()) if loss.numel() == 1 and not loss.is_complex() else None


def worst(parameters: Sequence[Tensor]) -> float:
    """The largest absolute value among parameters; 0 for none. Cost: one read each, one host sync."""
    peaks = [p.detach().abs().max().float() for p in parameters if p.numel() and p.layout == torch.strided]
    return float(torch.stack(peaks).max()) if peaks else 0.0
