"""`evenkeel replay` understands its command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenkeel.cli.main import parse
from evenkeel.core.settings import CapsuleWish, ReplaySettings, RunSettings


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path is absolute, because the program runs in a directory of its own; everything else is the capsule's."""
    monkeypatch.chdir(tmp_path)
    assert parse(["replay", "run/capsule"]) == ReplaySettings(capsule=tmp_path / "run" / "capsule")


def test_every_option() -> None:
    """Before or after the capsule."""
    given = parse(["replay", "--from", "start", "/c", "--with", "step in float64", "--list", "--program", "a.py"])
    assert given == ReplaySettings(
        capsule=Path("/c"), change="step in float64", only_list=True, begin="start", program="a.py"
    )


@pytest.mark.parametrize("arguments", [[], ["/c", "--from", "middle"], ["/c", "/d"]])
def test_a_wrong_command_line_ends_with_status_2(arguments: list[str]) -> None:
    """As for every command."""
    assert parse(["replay", *arguments]) == 2


@pytest.mark.parametrize(
    ("options", "wish"),
    [
        ((), CapsuleWish()),
        (("--no-data",), CapsuleWish(keep_data=False)),
        (("--zip",), CapsuleWish(as_zip=True)),
    ],
)
def test_what_a_run_writes(
    options: tuple[str, ...], wish: CapsuleWish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`evenkeel run` says what its capsules hold."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    settings = parse(["run", "--out", "out", *options, "train.py"])
    assert isinstance(settings, RunSettings)
    assert settings.capsule == wish
