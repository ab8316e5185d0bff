"""Ranks that a framework starts by itself are supervised as the first one is."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenkeel.cli.main import parse
from evenkeel.core.settings import CapsuleWish, LogWish, RunSettings, every, observe, skip
from evenkeel.supervision.children import options_of


@pytest.mark.parametrize("as_module", [False, True])
def test_options_mean_the_same_settings(*, as_module: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line makes of them is what they were made of, nothing left at its default."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    (tmp_path / "out").mkdir()
    settings = RunSettings(
        target="train" if as_module else "train.py",
        as_module=as_module,
        arguments=("--epochs", "3", "a b"),
        out=tmp_path / "out",
        policy=observe() if as_module else skip(at_most=7),
        check_parameters=every(3),
        max_rerun_s=90.0,
        experiments=False,
        fix_preview=True,
        capsule=CapsuleWish(keep_data=False, as_zip=True),
        logs=(LogWish("tensorboard", tmp_path / "board"),),
    )
    plain = RunSettings(target="", as_module=not as_module, arguments=(), out=Path())
    assert not [n for n in RunSettings.__slots__ if getattr(settings, n) == getattr(plain, n)]
    assert parse(["run", *options_of(settings)]) == settings
