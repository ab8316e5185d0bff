"""Programs in a directory of their own, and their re-runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evenkeel.core.settings import RunSettings
from evenkeel.rerun.rerun import Rerun

Start = Callable[..., Rerun]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a program's files into the current directory: `program(**{"train.py": text})`."""
    directory = tmp_path / "program"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def write(**files: str) -> Path:
        for name, text in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        return directory

    return write


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """What a run of `train.py` notes before it starts; a module's name runs that."""

    def begin(target: str = "train.py", **more: object) -> Rerun:
        settings = RunSettings(
            target=target, as_module=not target.endswith(".py"), arguments=("--lr", "1"), out=tmp_path / "out"
        )
        return Rerun(replace(settings, **more))

    return begin
