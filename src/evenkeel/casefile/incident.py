"""Write the case file of a bad step."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

import evenkeel
from evenkeel.casefile.entering import bad_parameters, batch_of_storage, known_storages, num_samples, with_owners
from evenkeel.casefile.scene import Replay, Scene
from evenkeel.casefile.terms import carrying, terms_of
from evenkeel.core.case import Case, Origin, Term
from evenkeel.core.cause import Cause
from evenkeel.core.incident import Advice, Incident
from evenkeel.core.operation import Operation, Phase
from evenkeel.detect.nonfinite import Sighting
from evenkeel.diagnose.rank import explain
from evenkeel.locate.entrance import batch_reached, replacements
from evenkeel.locate.origin import Located, locate
from evenkeel.locate.trace import Trace

_MOST_ADVICE = 3
_PHASES: dict[str, Phase] = {"gradient": "backward", "parameter": "optimizer", "buffer": "state"}


def incident_of(seen: Sighting, replay: Replay, scene: Scene, *, command: str) -> Incident:
    """Write the case file of the step in which `seen` was seen, from its replay."""
    located = _located(seen, replay, scene)
    terms = _terms(replay, located)
    case = Case(
        step=scene.step,
        phase=located.phase,
        symptom=replace(seen.symptom, first=_first_hit(replay)),
        reproduced=replay.reproduced,
        but_for_rounding=replay.likeness == "rounding",
        obstacle="" if replay.observed is not None else replay.how,
        only_compiled=replay.only_compiled,
        origin=_with_origin_of_data(located.origin, replay, scene, terms),
        others=located.others,
        chain=located.chain,
        upstream=located.upstream,
        incoming=located.incoming,
        leaves=located.leaves,
        terms=terms,
        replaced=_replaced(replay),
        losses=scene.losses,
        gradient_norms=scene.gradient_norms,
        last_good_state=scene.last_good_state,
        weight_peaks=scene.weight_peaks,
    )
    return explained(case, how=replay.how, command=command)


def explained(case: Case, *, how: str, command: str) -> Incident:
    """Find the causes of a case, and the advice that follows from them."""
    causes = explain(case)
    return Incident(
        case=case,
        causes=causes,
        advice=advice_of(causes),
        command=command,
        how_replayed=how,
        environment=environment(),
    )


def advice_of(causes: Sequence[Cause]) -> tuple[Advice, ...]:
    """What the likeliest of them advise."""
    return tuple(Advice(text=cause.advice) for cause in causes[:_MOST_ADVICE])


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


def _located(seen: Sighting, replay: Replay, scene: Scene) -> Located:
    if replay.observed is None or replay.sighting is None:
        return _not_traced(seen, scene)
    trace, known = replay.observed.trace, known_storages(scene)
    size, batches = num_samples(scene, trace, known), [hand_out.batch for hand_out in scene.used]
    located = locate(trace, replay.sighting.tensors, size, known.get, batches)
    return with_owners(located, scene)


def _not_traced(seen: Sighting, scene: Scene) -> Located:
    """What can be said without a trace: parameters that are bad though no update was found to be at fault."""
    made_by_update = seen.symptom.kind == "parameter"
    leaves = () if made_by_update else bad_parameters(scene)
    return Located(phase="state" if leaves else _PHASES.get(seen.symptom.kind, "forward"), leaves=leaves)


def _first_hit(replay: Replay) -> str:
    """The parameter (or loss, or buffer) that was the first to be written something bad."""
    if replay.observed is None or replay.sighting is None:
        return ""
    trace, sighting = replay.observed.trace, replay.sighting
    hits = [(trace.bad_writer(t), name) for name, t in zip(sighting.symptom.names, sighting.tensors, strict=True)]
    return min(((when, name) for when, name in hits if when is not None), default=(0, ""))[1]


def _terms(replay: Replay, located: Located) -> tuple[Term, ...]:
    if replay.observed is None or located.phase == "optimizer":
        return ()
    return terms_of(replay.observed.summands.found, replay.observed.trace.records, located.origin)


def _replaced(replay: Replay) -> tuple[Operation, ...]:
    if replay.observed is None:
        return ()
    return tuple(record.operation() for record in replacements(replay.observed.trace.records))


def _with_origin_of_data(origin: Origin | None, replay: Replay, scene: Scene, terms: tuple[Term, ...]) -> Origin | None:
    """Say which batch of the step and which elements of the data set it came from, and through which terms it went."""
    if origin is None or replay.observed is None:
        return origin
    position = _batch_of(origin, replay.observed.trace, scene)
    indices = scene.used[position].indices if position is not None else ()
    fits = origin.num_samples == len(indices)
    return replace(
        origin,
        micro_batch=position if len(scene.used) > 1 else None,
        dataset_indices=tuple(indices[row] for row in origin.samples) if fits else (),
        term=carrying(terms),
    )


def _batch_of(origin: Origin, trace: Trace, scene: Scene) -> int | None:
    if len(scene.used) == 1:
        return 0
    return batch_reached(trace.records, origin.operation.index, batch_of_storage(scene))
