"""`--log` is understood, or refused before anything is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import pytest

from evenkeel.cli.main import parse
from evenkeel.core.settings import LogName, LogWish, RunSettings

NAMES: tuple[LogName, ...] = get_args(LogName)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a script, as the current one; nothing of the three has to be installed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    for name in NAMES:
        (tmp_path / "libraries" / name).mkdir(parents=True)
        (tmp_path / "libraries" / name / "__init__.py").write_text("raise RuntimeError('imported too early')")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path / "libraries")
    return tmp_path


def test_each_has_its_place(project: Path) -> None:
    """The run's own directory unless another is named; both may be asked for; nothing is imported."""
    assert len(NAMES) == 3
    given = [word for name in NAMES for word in ("--log", name, "--log", f"{name}=else/where")]
    found = parse(["run", "--out", "o", *given, "train.py"])
    assert isinstance(found, RunSettings)
    places = [place for name in NAMES for place in ((name, "o/" + name), (name, "else/where"))]
    assert found.logs == tuple(LogWish(name, project / place) for name, place in places)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("tensorbord", "there are tensorboard, wandb, mlflow"),
        ("wandb=", "a directory has to follow"),
        ("mlflow=train.py", "is a file"),
    ],
)
def test_what_cannot_be_is_refused(given: str, says: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With status 2, and no directory is made."""
    assert parse(["run", "--out", "o", "--log", given, "train.py"]) == 2
    assert says in capsys.readouterr().err
    assert not (project / "o").exists()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_says_how_to_get_it(
    name: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the program trains for hours."""
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    assert parse(["run", "--out", "o", "--log", name, "train.py"]) == 2
    assert f"--log {name} needs {name}: pip install 'evenkeel[loggers]'" in capsys.readouterr().err
    assert not (project / "o").exists()
