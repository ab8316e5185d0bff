"""Non-finite losses, gradients, parameters and buffers: one suspicion a step, confirmed exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from evenkeel.core.case import Symptom, SymptomKind
from evenkeel.core.fingerprint import Fingerprint, Likeness
from evenkeel.tensors.fingerprint import fingerprint
from evenkeel.tensors.measure import is_finite, local

Namer = Callable[[Tensor], str]
NORM = "norm of the gradients"
SENT = "this rank, as sent to the others,"


@dataclass(frozen=True, slots=True)
class Watched:
    """The tensors that a verdict is about, in the order in which they are judged."""

    losses: Sequence[Tensor]
    gradients: Sequence[tuple[Tensor, Tensor]] = ()  # (parameter, its gradient)
    norm: Tensor | None = None  # of the gradients, by which they are about to be scaled
    buffers: Sequence[Tensor] = ()


@dataclass(frozen=True, slots=True)
class Sighting:
    """A symptom and the fingerprint by which a replay is judged."""

    symptom: Symptom
    fingerprint: Fingerprint  # of losses and gradients; of the losses alone in a glimpse
    tensors: tuple[Tensor, ...]
    of_losses: Fingerprint | None = None
    is_glimpse: bool = False  # only the losses were kept: the gradients are gone

    def likeness(self, other: Sighting | None) -> Likeness:
        """How like the other symptom is: the same tensors bad, and the same to the bit, or but for rounding."""
        if other is None:
            return "none"
        if self.is_glimpse:
            return "none" if other.of_losses is None else self.fingerprint.likeness(other.of_losses)
        return self.fingerprint.likeness(other.fingerprint) if self.resembles(other) else "none"

    def resembles(self, other: Sighting | None) -> bool:
        """Whether the same tensors are bad in the other one, whatever their bits."""
        return other is not None and self.symptom.names == other.symptom.names


def suspicious(flags: Sequence[Tensor]) -> bool:
    """Whether the sum of these 0-d tensors is not finite: never False when one of them is not.

    Cost: one host sync on an accelerator.
    """
    if len(flags) > 1 and flags[-1].is_cuda:
        return not math.isfinite(float(torch.stack([f.to(flags[-1].device, torch.float64) for f in flags]).sum()))
    return not math.isfinite(sum(map(Tensor.item, flags)))


def glimpse(losses: Sequence[Tensor]) -> Sighting:
    """What is left to be seen of a step that the device left out: its losses."""
    seen = look(Watched(losses), lambda _: "")
    if seen is not None:
        return replace(seen, fingerprint=fingerprint(losses), is_glimpse=True)
    unnamed = Symptom(kind="gradient", name="not yet known")
    return Sighting(unnamed, fingerprint(losses), (), is_glimpse=True)


def look(watched: Watched, name_of: Namer) -> Sighting | None:
    """Judge losses, then gradients, their norm, and buffers, exactly; None when every element is finite.

    Cost: two reads of everything; to be asked after a suspicion only.
    """
    found = _first_bad(watched, name_of)
    if found is None:
        return None
    everything = tuple(watched.losses) + tuple(g for _, g in watched.gradients)
    return replace(_sighting(*found, everything), of_losses=fingerprint(watched.losses))


def is_healthy(watched: Watched) -> bool:
    """Whether every element is finite, and no more than that. Cost: a read of everything."""
    return _first_bad(watched, lambda _: "") is None


def _first_bad(watched: Watched, name_of: Namer) -> tuple[SymptomKind, list[tuple[str, Tensor]]] | None:
    for kind, named in _groups(watched, name_of):
        bad = [(name, tensor) for name, tensor in named if not is_finite(tensor)]
        if bad:
            return kind, bad
    return None


def sent_to_others(tensors: Sequence[Tensor]) -> Sighting | None:
    """What a rank gave to the others, when that was not finite: there it is seen, here it was born."""
    bad = [(SENT, tensor) for tensor in tensors if not is_finite(tensor)]
    return _sighting("gradient", bad, tuple(tensor for _, tensor in bad)) if bad else None


def look_at_parameters(parameters: Sequence[Tensor], name_of: Namer) -> Sighting | None:
    """Judge parameters after an update, exactly; None when every element is finite. Cost as `look`."""
    bad = [(name_of(p), p) for p in parameters if not is_finite(p)]
    return _sighting("parameter", bad, tuple(p for _, p in bad)) if bad else None


def _groups(watched: Watched, name_of: Namer) -> Iterable[tuple[SymptomKind, list[tuple[str, Tensor]]]]:
    yield "loss", [(f"loss[{i}]" if i else "loss", loss) for i, loss in enumerate(watched.losses)]
    yield "gradient", [(name_of(parameter), gradient) for parameter, gradient in watched.gradients]
    yield "gradient", [] if watched.norm is None else [(NORM, watched.norm)]
    yield "buffer", [(name_of(buffer), buffer) for buffer in watched.buffers]


def _sighting(kind: SymptomKind, bad: list[tuple[str, Tensor]], judged_by: tuple[Tensor, ...]) -> Sighting:
    names = tuple(name for name, _ in bad)
    value = _scalar(bad[0][1]) if kind == "loss" else None
    symptom = Symptom(kind=kind, name=names[0], names=names, value=value)
    return Sighting(symptom, fingerprint(judged_by), tuple(local(tensor.detach()) for _, tensor in bad))


def _scalar(loss: Tensor) -> float | None:
    return float(loss.detach()) if loss.numel() == 1 and not loss.is_complex() else None


def worst(parameters: Sequence[Tensor]) -> Tensor:
    """The largest absolute value among parameters, 0-d; 0 for none. Cost: one read each, no host sync."""
    present = [local(p.detach()) for p in parameters if p.layout == torch.strided]
    peaks = [p.abs().max().float() for p in present if p.numel()]
    return torch.stack([peak.to(peaks[0].device) for peak in peaks]).max() if peaks else torch.zeros(())
