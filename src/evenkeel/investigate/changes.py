"""What can be changed while a captured step comes again."""

from __future__ import annotations

import difflib

from evenkeel.casefile.changes import Kind, attempts, origin_alone
from evenkeel.core.errors import UsageError
from evenkeel.core.incident import Incident
from evenkeel.experiment.change import Change
from evenkeel.experiment.eager import Eager
from evenkeel.experiment.filled_memory import FilledMemory
from evenkeel.experiment.precision import in_float32, in_float64
from evenkeel.experiment.unchanged import Unchanged

NONE_EARLIER = "a capsule holds the state of its own step, and none earlier"
_OF_EARLIER_STEPS: frozenset[Kind] = frozenset({"state", "rate", "norm"})


def changes_for(incident: Incident) -> list[Change]:
    """What can be tried on the step itself: the stable forms of its origin too, where the case tells of one.

    What has to hold from the first step on, and what needs the rows behind a bad value, are a live run's.
    """
    forms = [attempt.change for attempt in attempts(incident) if attempt.kind == "form"]
    return [Unchanged(), Eager(), *origin_alone(incident), in_float32(), in_float64(), FilledMemory(), *forms]


def only_live(incident: Incident) -> list[str]:
    """Names of what needs the steps before, which a capsule does not have."""
    return [attempt.change.name for attempt in attempts(incident) if attempt.kind in _OF_EARLIER_STEPS]


def change_named(name: str, incident: Incident) -> Change:
    """The experiment of that name.

    Raises:
        UsageError: there is none, and the error names those there are; or a capsule cannot have it.
    """
    changes = {change.name: change for change in changes_for(incident)}
    if name in changes:
        return changes[name]
    if name in only_live(incident):
        raise UsageError(
            f"--with {name!r} needs the steps before the failing one: {NONE_EARLIER}; `evenkeel run` tries it on a run "
            "from the start"
        )
    near = difflib.get_close_matches(name, changes, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"--with {name!r}: there is no such experiment; {hint}There are {', '.join(map(repr, changes))}")
