"""Another text runs under the name of a file; every other module is found as ever."""

from __future__ import annotations

import importlib.abc
import importlib.util
import inspect
import linecache
import sys
import traceback
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from evenkeel.rerun.overlay import Overlay

TEXT = "def f(x):\n    return 1 / x  # é\n"
OTHER = "def f(x):\n\n    return 2 / x  # ü\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of a package on the path, and what was imported meanwhile forgotten."""
    package = tmp_path / "overlaid"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text(TEXT)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package / "inner.py"
    for name in [name for name in sys.modules if name.partition(".")[0] == "overlaid"]:
        del sys.modules[name]


def test_the_other_text_runs_under_the_name_of_the_file(module: Path) -> None:
    """Tracebacks and `inspect` show what runs; the file is as it was."""
    overlay = Overlay({str(module): OTHER})
    spec = overlay.find_spec("overlaid.inner", [str(module.parent)])
    assert spec is not None
    assert spec.loader is not None
    inner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inner)
    assert (inner.f(4), inner.__file__, inner.__name__) == (0.5, str(module), "overlaid.inner")
    assert inspect.getsource(inner.f) == OTHER
    with pytest.raises(ZeroDivisionError) as raised:
        inner.f(0)
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert (last.filename, last.lineno, last.line) == (str(module), 3, "return 2 / x  # ü")
    linecache.checkcache()
    assert linecache.getline(str(module), 3) == "    return 2 / x  # ü\n"
    assert module.read_text() == TEXT


def test_a_link_to_the_file_is_the_file(module: Path, tmp_path: Path) -> None:
    """Paths are compared as what they lead to."""
    (tmp_path / "link").symlink_to(module.parent)
    overlay = Overlay({str(tmp_path / "link" / "inner.py"): OTHER})
    assert overlay.find_spec("overlaid.inner", [str(module.parent)]) is not None
    assert overlay.read(module) == OTHER.encode()


@pytest.mark.parametrize(
    ("name", "inside"),
    [("overlaid", False), ("json", False), ("json.decoder", True), ("sys", False), ("no_such_module", False)],
)
def test_other_modules_are_left_to_the_other_finders(name: str, module: Path, *, inside: bool) -> None:
    """Packages, files without another text, built-in modules, and what there is not."""
    path = list(importlib.util.find_spec(name.partition(".")[0]).submodule_search_locations or ()) if inside else None
    overlay = Overlay({str(module): OTHER})
    assert overlay.find_spec(name, path) is None


def test_other_files_are_read(module: Path, tmp_path: Path) -> None:
    """To the byte."""
    (tmp_path / "train.py").write_bytes(b"# \xff\r\n")
    assert Overlay({str(module): OTHER}).read(tmp_path / "train.py") == b"# \xff\r\n"


class Foreign(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads every module of the package in a way of its own, which is not Python's."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> ModuleSpec:
        """From the file."""
        return ModuleSpec(fullname, self, origin=str(self.file))


def test_modules_with_a_loader_of_their_own_are_left_to_it(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it makes of a file is not known; an unpatched program proves nothing, and that is seen."""
    overlay = Overlay({str(module): OTHER})
    assert overlay.find_spec("overlaid.inner", [str(module.parent)]) is not None
    monkeypatch.setattr(sys, "meta_path", [Foreign(module), *sys.meta_path])
    assert overlay.find_spec("overlaid.inner", [str(module.parent)]) is None
