"""What becomes of a bad step: its case file, a report to the person at the terminal, and a verdict for all ranks."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from evenkeel.casefile.changes import Changes, gentle_changes
from evenkeel.casefile.incident import incident_of
from evenkeel.casefile.scene import Replay, Scene
from evenkeel.casefile.trials import Tried, with_trials
from evenkeel.core.events import PeerBad, Replayed, StepBad
from evenkeel.core.incident import Incident
from evenkeel.detect.nonfinite import Sighting
from evenkeel.guard.capsules import Capsules, Evidence
from evenkeel.guard.elsewhere import Elsewhere, sought
from evenkeel.guard.ranks import Alone, Ranks
from evenkeel.journal.writer import Journal
from evenkeel.report import as_text
from evenkeel.report.as_json import from_json
from evenkeel.report.bars import stderr_beside_bars
from evenkeel.report.logger import IncidentLogger
from evenkeel.report.write import JSON_NAME, with_patch, write
from evenkeel.step.updater import Updater

_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Where a run is written down, and by whom."""

    out: Path
    journal: Journal
    ranks: Ranks = field(default_factory=Alone)
    command: str = ""
    elsewhere: Elsewhere | None = None
    changes: Changes = gentle_changes  # what to try on a bad step
    capsules: Capsules | None = None
    fix_preview: bool = False  # whether a patch that has proved itself becomes a file of its own
    loggers: Sequence[IncidentLogger] = ()


class Incidents:
    """The incidents of one run: the first lies in its directory, the n-th in `incidents/<n>/` there."""

    def __init__(self, record: Record) -> None:
        """Begin with none."""
        self.first: Incident | None = None
        self._out = record.out
        self._journal = record.journal
        self._ranks = record.ranks
        self._command = record.command
        self._elsewhere_alone = record.elsewhere
        self._capsules = record.capsules
        self._fix_preview = record.fix_preview
        self._loggers = record.loggers
        self._evidence: Evidence | None = None  # of the step that was examined last
        self._count = 0

    def with_remedy(self, incident: Incident, tried: Tried) -> Incident:
        """The incident with what was tried in the loop, and what runs from the start add to that."""
        if self._elsewhere is None:
            return with_trials(incident, tried.trials)
        return sought(incident, tried, self._elsewhere)

    @property
    def _elsewhere(self) -> Elsewhere | None:
        """A child is one process: it cannot stand for ranks, which a framework may have started since."""
        return self._elsewhere_alone if self._ranks.size == 1 else None

    @property
    def are_repeated_elsewhere(self) -> bool:
        """Whether a step can be repeated without this loop."""
        return self._elsewhere is not None

    def note(self, step: int, sighting: Sighting | None) -> None:
        """Write down that the step is bad."""
        kind, name = (sighting.symptom.kind, sighting.symptom.name) if sighting else ("peer", "another rank")
        self._journal.write(StepBad(step=step, kind=kind, name=name))

    def conclude(self, incident: Incident | None, step: int, updater: Updater) -> None:
        """The rank where the bad value was born writes the case down; the others point to it."""
        is_born_here = _is_born_here(incident)
        told = self._ranks.tell(updater, json.dumps({"bad": incident is not None, "born": is_born_here}))
        said = [json.loads(text) for text in told]
        if len(said) > 1:
            origin = _rank_of_origin(said)
        elif is_born_here or self._ranks.size == 1:
            origin = self._ranks.rank
        else:
            origin = self._rank_that_wrote(step)
        self._count += 1
        if origin == self._ranks.rank and incident is not None:
            received_by = tuple(r for r, words in enumerate(said) if words["bad"] and r != origin)
            self._publish(replace(incident, rank=origin, received_by=received_by if len(said) > 1 else ()), updater)
        else:
            self._point_to(origin, step)
        self._ranks.tell(updater, "written")  # a launcher ends all ranks when the first one does

    def examine(self, sighting: Sighting | None, replay: Replay, scene: Scene) -> Incident | None:
        """Explain the step from the best replay there is; None when this rank saw nothing bad."""
        seen = sighting or replay.sighting
        if seen is None:
            return None
        self._evidence = Evidence(seen=seen, replay=replay, scene=scene)
        return self._incident(seen, replay, scene)

    def _incident(self, sighting: Sighting, replay: Replay, scene: Scene) -> Incident:
        if not replay.reproduced and self._elsewhere is not None:
            repeated = self._elsewhere(_suspects(scene, sighting), sighting)
            if isinstance(repeated, Incident):
                return repeated
            replay = replace(replay, how=f"{replay.how}; {repeated}")
        return incident_of(sighting, replay, scene, command=self._command)

    def _publish(self, incident: Incident, updater: Updater) -> None:
        case, directory = incident.case, self._directory()
        self._journal.write(Replayed(step=case.step, how=incident.how_replayed, reproduced=case.reproduced))
        try:
            if self._capsules is not None and self._evidence is not None:
                incident = self._capsules.write(incident, self._evidence, updater, directory)
        finally:  # whatever became of the capsule, what is known is written down
            written = write(with_patch(incident, directory) if self._fix_preview else incident, directory)
            self.first = self.first or written
            with stderr_beside_bars() as console:
                as_text.render(written, console)
            for logger in self._loggers:
                logger.incident(written)

    def _directory(self) -> Path:
        """The run's own for its first incident; ranks that judge alone find another one's there."""
        if self._count == 1 and not (self._out / JSON_NAME).exists():
            return self._out
        number = str(self._count) if self._count > 1 else f"rank{self._ranks.rank}"
        return self._out / "incidents" / number

    def _rank_that_wrote(self, step: int) -> int:
        """Without a common verdict: the rank that wrote down this step within a few seconds, else this one."""
        path = self._out / JSON_NAME
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            if path.exists():
                written = from_json(path.read_text())
                return written.rank if written.case.step == step else self._ranks.rank
            time.sleep(0.05)
        return self._ranks.rank

    def _point_to(self, origin: int, step: int) -> None:
        self._journal.write(PeerBad(step=step, rank=origin))
        print(  # noqa: T201  a sentence for the person at the terminal
            f"evenkeel: step {step} is bad on rank {origin}, from which rank {self._ranks.rank} has it; "
            f"the case is in {self._out}",
            file=sys.stderr,
        )


def _suspects(scene: Scene, sighting: Sighting) -> range:
    """Bad parameters may come from any update that nobody has looked at since."""
    first = scene.first_unjudged if sighting.symptom.kind == "parameter" else scene.step
    return range(first, scene.step + 1)


def _is_born_here(incident: Incident | None) -> bool:
    """Whether the bad value came from an operation of this rank, not out of a collective."""
    origin = None if incident is None else incident.case.origin
    return origin is not None and not origin.operation.is_collective


def _rank_of_origin(said: list[dict[str, bool]]) -> int:
    """The first rank where something bad was born; failing that, the first where something bad was seen."""
    for what in ("born", "bad"):
        for rank, words in enumerate(said):
            if words[what]:
                return rank
    return 0
