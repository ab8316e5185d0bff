"""From a traced step to an incident: locate, explain, advise. Where the two stages meet."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import evenkeel
from evenkeel.core.case import Case
from evenkeel.core.incident import Advice, Incident
from evenkeel.core.operation import LeafKind, Phase
from evenkeel.detect.nonfinite import Sighting
from evenkeel.diagnose.rank import explain
from evenkeel.locate.modules import Names
from evenkeel.locate.origin import Located, locate
from evenkeel.locate.record import storage_of
from evenkeel.locate.samples import batch_size
from evenkeel.locate.trace import Trace
from evenkeel.step.window import HandOut

_MOST_ADVICE = 3
_PHASES: dict[str, Phase] = {"gradient": "backward", "parameter": "optimizer", "buffer": "state"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is known of the loop at its failing step; histories oldest first."""

    step: int  # 0-based count of optimizer.step() calls
    first_unjudged: int  # the first step whose update nobody has looked at since
    names: Names
    hand_outs: tuple[HandOut, ...]
    losses: tuple[float, ...] = ()
    weight_peaks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How a bad step was repeated, and what was seen then."""

    how: str
    reproduced: bool
    trace: Trace | None = None
    sighting: Sighting | None = None  # the symptom of the replay, whose tensors the trace knows
    only_compiled: bool = False  # the symptom came again in compiled code, and not without it


def incident_of(seen: Sighting, replay: Replay, scene: Scene, *, command: str) -> Incident:
    """Write the case file of the step in which `seen` was seen, from its replay."""
    located = _located(replay, scene.names, scene.hand_outs)
    case = Case(
        step=scene.step,
        phase=located.phase,
        symptom=seen.symptom,
        reproduced=replay.reproduced,
        only_compiled=replay.only_compiled,
        origin=located.origin,
        others=located.others,
        chain=located.chain,
        upstream=located.upstream,
        incoming=located.incoming,
        leaves=located.leaves,
        losses=scene.losses,
        weight_peaks=scene.weight_peaks,
    )
    return explained(case, how=replay.how, command=command)


def explained(case: Case, *, how: str, command: str) -> Incident:
    """Find the causes of a case, and the advice that follows from them."""
    causes = explain(case)
    return Incident(
        case=case,
        causes=causes,
        advice=tuple(Advice(text=cause.advice) for cause in causes[:_MOST_ADVICE]),
        command=command,
        how_replayed=how,
        environment=environment(),
    )


def environment() -> tuple[tuple[str, str], ...]:
    """The versions that matter for repeating a step."""
    return (
        ("evenkeel", evenkeel.__version__),
        ("torch", torch.__version__),
        ("numpy", np.__version__),
        ("python", platform.python_version()),
        ("threads", str(torch.get_num_threads())),
        ("accelerator", torch.cuda.get_device_name() if torch.cuda.is_available() else "none"),
    )


def _located(replay: Replay, names: Names, hand_outs: Sequence[HandOut]) -> Located:
    if replay.trace is None or replay.sighting is None:
        return Located(phase=_phase_of(replay.sighting))
    batches = _batches(hand_outs)
    known = _known_storages(batches, names)
    num_samples = batch_size(t for _, t in batches) if batches else _outside_size(replay.trace, known)
    return locate(replay.trace, replay.sighting.tensors, num_samples, known.get)


def _phase_of(sighting: Sighting | None) -> Phase:
    return _PHASES.get(sighting.symptom.kind, "forward") if sighting else "forward"


def _batches(hand_outs: Iterable[HandOut]) -> list[tuple[str, Tensor]]:
    used = [h for h in hand_outs if h.used]
    named = [(f"batch {i}" if len(used) > 1 else "batch", h) for i, h in enumerate(used)]
    return [pair for name, h in named for pair in h.tensors(name)]


def _known_storages(batches: Iterable[tuple[str, Tensor]], names: Names) -> dict[int, tuple[LeafKind, str]]:
    known: dict[int, tuple[LeafKind, str]] = {}
    for parameter in names.parameters():
        if parameter.grad is not None:
            known[storage_of(parameter.grad)] = ("gradient", f"{names.of_tensor(parameter)}.grad")
        known[storage_of(parameter)] = ("parameter", names.of_tensor(parameter) or "parameter")
    for buffer in names.buffers():
        known[storage_of(buffer)] = ("buffer", names.of_tensor(buffer) or "buffer")
    known.update({storage_of(tensor): ("batch", name) for name, tensor in batches})
    return known


def _outside_size(trace: Trace, known: dict[int, tuple[LeafKind, str]]) -> int | None:
    """Without a loader: the leading size of the largest tensor that came from outside."""
    outside = [s for storage, s in trace.leaves.items() if storage not in known and s.shape]
    largest = max(outside, key=lambda s: s.numel, default=None)
    return largest.shape[0] if largest is not None else None
