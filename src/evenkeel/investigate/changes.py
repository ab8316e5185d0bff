"""What can be changed while a captured step comes again."""

from __future__ import annotations

import difflib

from evenkeel.casefile.changes import attempts, origin_alone
from evenkeel.core.errors import UsageError
from evenkeel.core.incident import Incident
from evenkeel.experiment.change import Change
from evenkeel.experiment.eager import Eager
from evenkeel.experiment.filled_memory import FilledMemory
from evenkeel.experiment.precision import in_float32, in_float64
from evenkeel.experiment.unchanged import Unchanged


def changes_for(incident: Incident) -> list[Change]:
    """What can be tried on the step itself: the stable forms of its origin too, where the case tells of one.

    What has to hold from the first step on, and what needs the rows behind a bad value, are a live run's.
    """
    forms = [attempt.change for attempt in attempts(incident) if attempt.kind == "form"]
    return [Unchanged(), Eager(), *origin_alone(incident), in_float32(), in_float64(), FilledMemory(), *forms]


def change_named(name: str, incident: Incident) -> Change:
    """The experiment of that name.

    Raises:
        UsageError: there is none; the error names those there are.
    """
    changes = {change.name: change for change in changes_for(incident)}
    if name in changes:
        return changes[name]
    near = difflib.get_close_matches(name, changes, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"--with {name!r}: there is no such experiment; {hint}There are {', '.join(map(repr, changes))}")
