"""The capsule of a bad step: when it is written, and how its step can come again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from evenkeel.capsule.freeze import Frozen, freeze
from evenkeel.capsule.manifest import Manifest, Missing, Seen
from evenkeel.capsule.moment import Moment
from evenkeel.capsule.surroundings import Beginning, environment
from evenkeel.casefile.scene import Replay, Scene
from evenkeel.core.incident import Incident
from evenkeel.core.settings import CapsuleWish
from evenkeel.detect.nonfinite import Sighting
from evenkeel.dist.world import world
from evenkeel.guard.belongings import FirstLook, names_in_capsules, schedules_of, tensors_by_name
from evenkeel.guard.loop import Loop
from evenkeel.report.as_json import to_json
from evenkeel.step.updater import Updater

_OVERWRITTEN = Missing(
    what="parameters, buffers and optimizer state before the step",
    why="the update that is at fault had been made when it was seen, and nobody keeps a copy of all parameters",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen of a bad step, and how it came again."""

    seen: Sighting
    replay: Replay
    scene: Scene


class Capsules:
    """Writes the capsules of one run."""

    def __init__(self, loop: Loop, first_look: FirstLook, beginning: Beginning, wish: CapsuleWish) -> None:
        """`first_look` finds the models for `loop`."""
        self._loop = loop
        self._first_look = first_look
        self._beginning = beginning
        self._wish = wish
        self._num_written = 0

    def write(self, incident: Incident, evidence: Evidence, updater: Updater, directory: Path) -> Incident:
        """Freeze the step that `updater` was about to end, beside the incident.

        Returns: the incident, with the place and size of its capsule; without when the disk does not take it.
        """
        try:
            frozen = self._freeze(incident, evidence, updater, directory)
        except OSError as error:
            print(  # noqa: T201  a sentence for the person at the terminal
                f"evenkeel: no capsule was written into {directory}: {error.strerror or error}", file=sys.stderr
            )
            return incident
        self._num_written += 1
        return replace(incident, capsule=str(frozen.path), capsule_bytes=frozen.num_bytes)

    def _freeze(self, incident: Incident, evidence: Evidence, updater: Updater, directory: Path) -> Frozen:
        updaters = evidence.scene.updaters
        tensors = tensors_by_name(self._first_look.everything(), updaters)
        is_kept = evidence.seen.symptom.kind != "parameter"
        window = self._loop.window
        moment = Moment(
            hand_outs=window.consumed,
            random=window.random,
            random_at_start=self._beginning.random,
            tensors=self._as_they_were(tensors) if is_kept else {},
            updaters=updaters if is_kept else (),
            schedules=schedules_of(updaters) if is_kept else (),
            scaler=self._loop.scaler,
            missing=(*(() if is_kept else (_OVERWRITTEN,)), *self._left_out()),
        )
        why = self._why_from_start(evidence)
        manifest = Manifest(
            begin="start" if why else "state",
            why=why,
            program=self._beginning.program(),
            seen=self._seen(evidence, tensors),
            step=incident.case.step,
            rank=incident.rank,
            world_size=world().size,
            environment=environment(),
            num_threads=torch.get_num_threads(),
            updater=next(n for n, known in enumerate(updaters) if known is updater),
            num_updates_before=len(window.updates),
            random_is_current=window.random_is_current,
            cleared_to=window.cleared_to,
        )
        return freeze(moment, manifest, to_json(incident), directory, self._wish)

    def _why_from_start(self, evidence: Evidence) -> str:
        """Why the step cannot come from its state alone; "" when it can."""
        replay, scene = evidence.replay, evidence.scene
        did_not_come = not replay.reproduced or replay.observed is None
        reasons = (
            (evidence.seen.symptom.kind == "parameter", "the update that is at fault had been made when it was seen"),
            (scene.step == 0, "it is the first step"),
            (did_not_come, f"the step did not come again in the process that met it ({replay.how})"),
            (not scene.hand_outs, "the loop takes its data by itself: its own variables may decide about the step"),
            (not self._wish.keep_data, "the batches were left out"),
            (not self._first_look.is_still_true(), "the models were others when training began"),
        )
        return next((why for holds, why in reasons if holds), "")

    def _left_out(self) -> tuple[Missing, ...]:
        if not self._num_written:
            return ()
        why = f"{self._num_written} bad steps were met before this one; a run from the start does not leave them out"
        return (Missing(what="what the policy did earlier in the run", why=why),)

    def _as_they_were(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Parameters are those of the step's beginning, because its update was withheld; buffers may have moved."""
        kept = {id(live): copy for live, copy in self._loop.buffers.kept()}
        return {name: kept.get(id(tensor), tensor) for name, tensor in tensors.items()}

    def _seen(self, evidence: Evidence, tensors: Mapping[str, Tensor]) -> Seen:
        """The symptom, under the names of the capsule."""
        again, seen = evidence.replay.sighting, evidence.seen
        if seen.is_glimpse and evidence.replay.reproduced and again is not None:
            seen = again
        names = names_in_capsules(tensors, self._loop.name_of)
        return Seen(
            step=evidence.scene.step,
            kind=seen.symptom.kind,
            names=tuple(names.get(name, name) for name in seen.symptom.names),
            fingerprint=seen.fingerprint,
            is_glimpse=seen.is_glimpse,
        )
