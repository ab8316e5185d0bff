"""The command line starts fast, lists its commands, and keeps its hands off the supervised program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import evenkeel
from evenkeel.cli.main import COMMANDS, parse

LOADED = "import sys; from evenkeel.cli.main import parse; parse(sys.argv[1:]); print('torch' in sys.modules)"


def evenkeel_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m evenkeel` in a process of its own."""
    return subprocess.run([sys.executable, "-m", "evenkeel", *arguments], capture_output=True, text=True, check=False)


def test_help_lists_every_command() -> None:
    """Each with its first sentence."""
    done = evenkeel_command("--help")
    assert done.returncode == 0
    assert set(COMMANDS) == {"run", "replay", "explain", "recipes"}
    assert "Run a captured failing step again" in done.stdout
    assert "Supervise an unmodified training script" in done.stdout
    assert "Print the manual page of a cause" in done.stdout


def test_version() -> None:
    """On stdout, status 0."""
    done = evenkeel_command("--version")
    assert (done.returncode, done.stdout) == (0, f"evenkeel {evenkeel.__version__}\n")


@pytest.mark.parametrize("arguments", [["nonsense"], ["run"], ["--nonsense"], ["run", "--policy", "maybe", "train.py"]])
def test_a_wrong_command_line_ends_with_status_2(arguments: list[str]) -> None:
    """With a sentence on stderr, nothing on stdout and no traceback."""
    done = evenkeel_command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["replay", "--help"], ["explain"], ["run", "missing.py"]]
)
def test_torch_is_not_loaded_before_a_program_is_supervised(arguments: list[str]) -> None:
    """Help, manual pages and usage errors come at once."""
    done = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_the_test_above_would_see_torch() -> None:
    """Its twin: the same program with torch loaded."""
    done = subprocess.run(
        [sys.executable, "-c", f"import torch; {LOADED}", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "True"


def test_the_excepthook_stays_as_it_was(tmp_path: Path) -> None:
    """A program that fails shows its own traceback, not a prettier one."""
    script = tmp_path / "train.py"
    script.touch()
    before = sys.excepthook
    parse(["run", "--out", str(tmp_path / "out"), str(script)])
    assert sys.excepthook is before
