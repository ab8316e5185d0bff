"""The origin's operation computed by a stable form, in forward and, by way of autograd, in backward."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from evenkeel.core.case import Case
from evenkeel.core.edit import Edit
from evenkeel.core.operation import Operation
from evenkeel.core.place import Place
from evenkeel.experiment.change import Change
from evenkeel.experiment.forms.form import Form
from evenkeel.experiment.forms.table import FORMS
from evenkeel.experiment.rewriting import Rewriting, Running, Search


class StableForm(Change):
    """Has one form take the place of what the line of the origin computes."""

    def __init__(self, form: Form, place: Place, running: Running) -> None:
        """`place` is the line of the origin; `running` tells the user's line that is running."""
        self.form = form
        self._place = place
        self._running = running
        self._mode = Rewriting(form, place, running)

    @property
    def name(self) -> str:
        """Which experiment it is."""
        return f"stable form: {self.form.name}"

    @property
    def changed(self) -> str:
        """What was different, in words."""
        return f"{self.form.replaces} at {_line(self._place)} computed as {self.form.name}"

    @property
    def remedy(self) -> str:
        """What to write instead, and where."""
        return f"at {_line(self._place)}, {self.form.remedy}"

    @property
    def took_effect(self) -> bool:
        """Whether the step came to what the form stands for."""
        return bool(self._mode.edits)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The same change in the user's text; empty where it cannot be told, or not for every time it was made."""
        if not all(self._mode.edits):
            return ()
        edits = tuple(dict.fromkeys(edit for made in self._mode.edits for edit in made))
        return edits if len({edit.span for edit in edits}) == len(edits) else ()

    def during(self) -> AbstractContextManager[object]:
        """The form is in force. Not to be left from within a call of torch's, as a hook of backward is."""
        self._mode = Rewriting(self.form, self._place, self._running)
        return self._mode


class FormSearch(Change):
    """Finds which stable forms fit what the line of the origin computes: one repetition instead of one for each."""

    name = "stable forms looked for"
    changed = "nothing"
    took_effect = False  # nothing is changed, so the outcome teaches nothing

    def __init__(self, forms: tuple[Form, ...], place: Place, running: Running) -> None:
        """Look for these forms, at that line."""
        self._forms = forms
        self._place = place
        self._running = running
        self._mode = Search(forms, place, running)

    @property
    def found(self) -> tuple[StableForm, ...]:
        """A change for each form that fits, the closest to the user's text first; asked for after the step."""
        return tuple(change for change in self.candidates if change.form.name in self._mode.found)

    @property
    def candidates(self) -> tuple[StableForm, ...]:
        """A change for each form that is looked for, in that order."""
        return tuple(StableForm(form, self._place, self._running) for form in self._forms)

    def during(self) -> AbstractContextManager[object]:
        """Calls are looked at, and nothing is changed."""
        self._mode = Search(self._forms, self._place, self._running)
        return self._mode


def search_of(case: Case, running: Running) -> FormSearch | None:
    """The search for stable forms that may mend the origin.

    Args:
        case: what is known of the failing step.
        running: tells the user's line that is running.

    Returns: None where no line of the user is known, where the value was bad before any operation, and where no form
        is known for the operation.
    """
    operation = born_in(case)
    if operation is None or operation.place is None:
        return None
    names = {operation.function, operation.api} - {""}
    forms = tuple(form for form in FORMS if form.origins & names)
    return FormSearch(forms, operation.place, running) if forms else None


def born_in(case: Case) -> Operation | None:
    """The operation that made the first bad value; None where none is known, or the value was bad before any."""
    return None if case.origin is None or case.origin.leaf is not None else case.origin.operation


def stable_forms(case: Case, running: Running) -> tuple[StableForm, ...]:
    """A change for each form that may mend the origin, without having looked whether it fits; see `search_of`."""
    search = search_of(case, running)
    return () if search is None else search.candidates


def _line(place: Place) -> str:
    return f"{Path(place.file).name}:{place.line}"
