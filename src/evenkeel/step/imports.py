"""Act when a framework is imported, without importing it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

Then = Callable[[ModuleType], None]


@contextmanager
def when_imported(name: str, then: Then) -> Iterator[None]:
    """Call `then` with the module of that name: now if it is loaded, else as soon as it has been, at most once.

    Cost: a comparison of names for each module that is imported while the context lasts.
    """
    loaded = sys.modules.get(name)
    if loaded is not None:
        then(loaded)
        yield
        return
    finder = _Waiting(name, then)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in (sys.meta_path or ()):  # Python takes it away when it ends
            sys.meta_path.remove(finder)


class _Waiting(MetaPathFinder):
    """Lets the other finders find the module, and looks over its loader's shoulder."""

    def __init__(self, name: str, then: Then) -> None:
        self._name = name
        self._then = then

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        """Only for the module that is waited for; afterwards there is nothing to wait for."""
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Followed(spec.loader, self._then)
        return spec


class _Followed(Loader):
    """Loads as the module's own loader does, then tells."""

    def __init__(self, loader: Loader, then: Then) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the loader does; the module's spec is its own again before anybody sees it."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._then(module)
