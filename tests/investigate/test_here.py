"""A capsule may name any program; only one of the user's own is run without being asked for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from evenkeel.capsule.manifest import Program
from evenkeel.core.errors import UsageError
from evenkeel.core.settings import ReplaySettings
from evenkeel.investigate.here import program_here


@pytest.fixture
def capsule(tmp_path: Path) -> Path:
    """A capsule with a script in it, as somebody might send one."""
    path = tmp_path / "capsule"
    path.mkdir()
    (path / "evil.py").touch()
    return path


@pytest.fixture
def there(tmp_path: Path) -> Program:
    """A script and a package where the program ran."""
    (tmp_path / "there" / "pack").mkdir(parents=True)
    (tmp_path / "there" / "train.py").touch()
    (tmp_path / "there" / "pack" / "fit.py").touch()
    return Program(
        target="train.py", as_module=False, arguments=("--lr", "1"), cwd=str(tmp_path / "there"), file=None, sha256=None
    )


def test_it_runs_where_it_ran(there: Program, capsule: Path) -> None:
    """Under the name that it was given there."""
    found = program_here(there, ReplaySettings(capsule=capsule))
    assert (found.target, found.arguments, str(found.cwd)) == ("train.py", ("--lr", "1"), there.cwd)
    assert found.text == Path(there.cwd) / "train.py"
    module = dataclasses.replace(there, target="pack.fit", as_module=True)
    assert program_here(module, ReplaySettings(capsule=capsule)).text == Path(there.cwd) / "pack" / "fit.py"


def test_on_another_machine_it_is_looked_for_here(
    there: Program, capsule: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorded directory is not there."""
    monkeypatch.chdir(there.cwd)
    found = program_here(dataclasses.replace(there, cwd="/no/such/place"), ReplaySettings(capsule=capsule))
    assert (found.target, str(found.cwd)) == ("train.py", there.cwd)


def test_a_missing_program_is_named(there: Program, capsule: Path) -> None:
    """With where it was looked for, and what to add."""
    for program in (
        dataclasses.replace(there, target="gone.py"),
        dataclasses.replace(there, target="gone.fit", as_module=True),
        dataclasses.replace(there, target="", as_module=True),
    ):
        with pytest.raises(UsageError, match="--program"):
            program_here(program, ReplaySettings(capsule=capsule))


@pytest.mark.parametrize("inside", ["the capsule", "python", "a link"])
def test_a_foreign_script_is_not_run_unasked(inside: str, there: Program, capsule: Path) -> None:
    """Neither one that came with the capsule nor one of Python's own; named by the user, it is."""
    (Path(there.cwd) / "link.py").symlink_to(capsule / "evil.py")
    target = {
        "the capsule": str(capsule / "evil.py"),
        "python": json.__file__,
        "a link": "link.py",
    }[inside]
    program = dataclasses.replace(there, target=target)
    with pytest.raises(UsageError, match="no program of yours"):
        program_here(program, ReplaySettings(capsule=capsule))
    named = str(Path(there.cwd, target))
    assert program_here(program, ReplaySettings(capsule=capsule, program=named)).text == Path(named)


def test_an_installed_module_is_not_run_unasked(there: Program, capsule: Path) -> None:
    """`-m timeit` with the right arguments runs anything."""
    program = dataclasses.replace(there, target="timeit", as_module=True, arguments=("import os",))
    with pytest.raises(UsageError, match="--program timeit"):
        program_here(program, ReplaySettings(capsule=capsule))
    assert program_here(program, ReplaySettings(capsule=capsule, program="timeit")).target == "timeit"
