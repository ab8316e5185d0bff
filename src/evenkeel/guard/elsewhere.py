"""What a run from the program's start can add, where the loop itself cannot repeat a step, or not often enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from evenkeel.casefile.changes import Attempt, Kind, attempts
from evenkeel.casefile.mending import with_diff
from evenkeel.casefile.trials import Trial, Tried, with_trials
from evenkeel.core.attempt import AttemptResult
from evenkeel.core.incident import Incident
from evenkeel.core.patch import PatchedFile, ProofResult
from evenkeel.detect.nonfinite import Sighting

_MOST_RUNS = 8
_CALMING: frozenset[Kind] = frozenset({"rate", "norm"})


class Elsewhere(Protocol):
    """Runs the program again from its start; a sentence says why it could not."""

    @property
    def directory(self) -> Path:
        """Where the program was started."""

    @property
    def may_attempt(self) -> bool:
        """Whether several such runs are wanted, and take a time for which a person waits."""

    def __call__(self, steps: range, seen: Sighting) -> Incident | str:
        """Repeat the one of these steps in which the symptom arose."""

    def attempt(self, incident: Incident, position: int) -> AttemptResult | str | None:
        """Run it with one of `casefile.changes.attempts` in force; None when it met nothing to change."""

    def prove(self, files: Sequence[PatchedFile], step: int) -> ProofResult | str:
        """Run it with patched files to the step after `step`."""


def sought(incident: Incident, tried: Tried, elsewhere: Elsewhere) -> Incident:
    """The incident with what was tried, and with a patch of the user's own lines where one proves itself.

    Where nothing that was tried in the loop is a remedy, and the program came to the step quickly, what is left is
    tried on runs from its start, up to the first that is. Cost: such a run each.
    """
    trials = list(tried.trials)
    if elsewhere.may_attempt and not any(trial.is_remedy for trial in trials):
        trials += _attempted(with_trials(incident, trials), tried, elsewhere)
    known = with_trials(incident, trials)
    written = next((trial for trial in trials if trial.is_remedy and trial.edits), None)
    if written is None:
        return known
    name = written.experiment.name
    return with_diff(known, written.edits, name, elsewhere.prove, directory=elsewhere.directory)


def _attempted(incident: Incident, tried: Tried, elsewhere: Elsewhere) -> Iterator[Trial]:
    """What is tried on runs from the start: of each kind up to the first remedy, and no other kind after it.

    A smaller rate and a clipped norm are two answers to one question; both are asked for.
    """
    fitting, answered, num_runs = tried.left, set[Kind](), 0
    for position, attempt in enumerate(attempts(incident)):
        if num_runs == _MOST_RUNS or not _is_wanted(attempt, tried, fitting, answered):
            continue
        num_runs += 1
        result = elsewhere.attempt(incident, position)
        if not isinstance(result, AttemptResult):
            continue
        if attempt.kind == "search":
            fitting = fitting.union(result.found)
            continue
        yield (trial := Trial.of_run(result))
        if trial.is_remedy:
            answered.add(attempt.kind)


def _is_wanted(attempt: Attempt, tried: Tried, fitting: frozenset[str], answered: set[Kind]) -> bool:
    name = attempt.change.name
    if attempt.kind == "search":  # again: the loop's own variables may have moved on since
        return True
    if name in tried.met or attempt.kind in answered or (attempt.kind == "form" and name not in fitting):
        return False
    return answered <= _CALMING if attempt.kind in _CALMING else not answered
