"""What can be changed while a captured step comes again."""

from __future__ import annotations

import difflib

from evenkeel.capsule.thaw import Capsule
from evenkeel.core.errors import UsageError
from evenkeel.experiment.change import Change
from evenkeel.experiment.eager import Eager
from evenkeel.experiment.filled_memory import FilledMemory
from evenkeel.experiment.precision import in_float32, in_float64
from evenkeel.experiment.unchanged import Unchanged


def changes_for(_capsule: Capsule) -> list[Change]:
    """The experiments that need nothing but the step itself; those that need its trace are a live run's."""
    return [Unchanged(), Eager(), in_float32(), in_float64(), FilledMemory()]


def change_named(name: str, capsule: Capsule) -> Change:
    """The experiment of that name.

    Raises:
        UsageError: there is none; the error names those there are.
    """
    changes = {change.name: change for change in changes_for(capsule)}
    if name in changes:
        return changes[name]
    near = difflib.get_close_matches(name, changes, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"--with {name!r}: there is no such experiment; {hint}There are {', '.join(map(repr, changes))}")
