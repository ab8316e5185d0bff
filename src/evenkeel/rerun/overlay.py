"""Texts that a program is run with in place of what its files hold; the files stay as they are."""

from __future__ import annotations

import importlib.abc
import linecache
import os
import sys
import types
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path


class Overlay(importlib.abc.MetaPathFinder):
    """Stands before the finders of modules, and gives those whose file it has a text for another text.

    Names, paths and line numbers are those of the files; tracebacks and `inspect` show the text that runs. Processes
    that are forked inherit it; those that are spawned read the files.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        """`texts` are whole files by their paths."""
        self._texts = {os.path.realpath(file): text for file, text in texts.items()}

    def install(self) -> None:
        """From here on modules are found through it."""
        sys.meta_path.insert(0, self)

    def read(self, path: Path) -> bytes:
        """The text that stands for a file, else what the file holds."""
        text = self._texts.get(os.path.realpath(path))
        if text is None:
            return path.read_bytes()
        show(str(path), text)
        return text.encode()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the other finders find, where that is a file with another text; None leaves it to them."""
        finders = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next((s for f in finders if (s := f.find_spec(fullname, path, target)) is not None), None)
        if spec is None or spec.origin is None or not isinstance(spec.loader, SourceFileLoader):
            return None
        text = self._texts.get(os.path.realpath(spec.origin))
        if text is None:
            return None
        spec.loader = _Replaced(fullname, spec.origin, text)
        return spec


class _Replaced(SourceFileLoader):
    """Compiles a text in the name of a file; compiled code that lies beside the file is not used."""

    def __init__(self, fullname: str, path: str, text: str) -> None:
        super().__init__(fullname, path)
        self._text = text

    def get_code(self, _fullname: str) -> types.CodeType:
        show(self.path, self._text)
        return compile(self._text.encode(), self.path, "exec", dont_inherit=True)

    def get_source(self, _fullname: str) -> str:
        return self._text


def show(file: str, text: str) -> None:
    """Let tracebacks and `inspect` see this text in place of what the file holds."""
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
