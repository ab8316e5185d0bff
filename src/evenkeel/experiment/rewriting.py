"""Modes in which one form takes the place of the calls that it stands for, or the fitting forms are looked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from evenkeel.core.edit import Edit
from evenkeel.core.place import Place
from evenkeel.experiment.calls import Call
from evenkeel.experiment.forms.form import Form, Stable
from evenkeel.experiment.history import History
from evenkeel.experiment.sites import Site, site_of

Running = Callable[[], Place | None]  # the user's line that is running


class Watching(TorchFunctionMode):
    """Sees each call of torch's functions, with what its operands were made by.

    Code that torch.compile made is not seen. Not to be left from within a call, as a hook of backward is: what is
    then taken off is another mode.
    Memory: see `History`. Cost: one walk up the stack for each call.
    """

    def __init__(self, place: Place, running: Running) -> None:
        """`place` is the line of the origin; `running` tells which line is running."""
        super().__init__()
        self._place = place
        self._running = running
        self._history = History()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        _types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Make the call, or what takes its place."""
        keywords = kwargs or {}
        site = site_of(sys._getframe(1), self._place.file)
        call = Call.of(func, args, keywords, site, is_origin=self._is_origin(site))
        other = self._in_place_of(call)
        if other is not None:
            return other
        result = func(*args, **keywords)
        self._history.note(call, result)
        return result

    def _in_place_of(self, call: Call) -> object:
        """What to return instead of making the call; None: make it. It has no history: nothing looks behind it."""
        raise NotImplementedError

    def _is_origin(self, site: Site | None) -> bool:
        if site is None or (site.line, site.scope) != (self._place.line, self._place.scope):
            return False
        return self._running() == self._place


class Rewriting(Watching):
    """Computes the calls at one line by a stable form. Backward follows the operations of the form by itself."""

    def __init__(self, form: Form, place: Place, running: Running) -> None:
        """See `Watching`."""
        super().__init__(place, running)
        self.edits: list[tuple[Edit, ...]] = []  # for each time the form was applied
        self._form = form

    def _in_place_of(self, call: Call) -> object:
        if not self._form.applies_to(call):
            return None
        target = call.args[0] if call.is_in_place else None
        stable = _found(self._form, self._on_a_copy(call), self._history)
        if stable is None or (isinstance(target, Tensor) and target._is_view()):  # its base would miss the form
            return None
        result = stable.compute()
        self.edits.append(stable.edits)
        return _written(target, result) if isinstance(target, Tensor) and isinstance(result, Tensor) else result

    def _on_a_copy(self, call: Call) -> Call:
        """The call on a copy of what it is about to overwrite, which backward of the form may need."""
        target = call.args[0] if call.is_in_place else None
        if not isinstance(target, Tensor):
            return call
        copy = target.clone()
        self._history.same_as(copy, target)
        return call.with_operands((copy, *call.args[1:]))


class Search(Watching):
    """Finds which forms would apply, and changes nothing."""

    def __init__(self, forms: Sequence[Form], place: Place, running: Running) -> None:
        """See `Watching`."""
        super().__init__(place, running)
        self.found: set[str] = set()  # by name
        self._forms = forms

    def _in_place_of(self, call: Call) -> object:
        for form in self._forms:
            is_new = form.name not in self.found and form.applies_to(call)
            if is_new and _found(form, call, self._history) is not None:
                self.found.add(form.name)
        return None


def _written(target: Tensor, result: Tensor) -> Tensor:
    """The result in the memory of what the call overwrites, without a way back to what was there."""
    if target.grad_fn is not None:
        target.detach_()
    return target.copy_(result)


def _found(form: Form, call: Call, history: History) -> Stable | None:
    stable = form.rewrite(call, history)
    return stable if stable is not None and any(part.is_origin for part in stable.of) else None
