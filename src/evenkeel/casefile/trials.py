"""What to try on a bad step, and what the outcome says of it."""

from __future__ import annotations

from dataclasses import replace

from evenkeel.casefile.scene import Replay, Scene
from evenkeel.core.incident import Experiment, Incident
from evenkeel.experiment.without_samples import NAME, WithoutSamples
from evenkeel.locate.entrance import entered
from evenkeel.locate.record import storage_of


def change_to_try(incident: Incident | None, replay: Replay, scene: Scene) -> WithoutSamples | None:
    """Leave the suspected samples out; None where no single ones are suspected."""
    origin = None if incident is None else incident.case.origin
    if origin is None or origin.num_samples is None or not scene.used or replay.observed is None:
        return None
    if origin.micro_batch is None and len(scene.used) > 1:
        return None
    suspects = scene.used[origin.micro_batch or 0]
    storages = entered(replay.observed.trace.records, origin.operation.index)
    concerned = {id(tensor) for _, tensor in suspects.tensors("") if storage_of(tensor) in storages}
    return WithoutSamples.of(suspects, origin.samples, origin.num_samples, concerned)


def with_experiment(incident: Incident | None, tried: Experiment) -> Incident | None:
    """The incident with what was learnt."""
    if incident is None:
        return None
    origin = incident.case.origin
    if origin is not None and tried.name == NAME:
        origin = replace(origin, samples_verified=tried.healthy)
    case = replace(incident.case, origin=origin)
    return replace(incident, case=case, experiments=(*incident.experiments, tried))
