"""Programs started as a user starts them: plain, and under `evenkeel run`."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"
TIME_LIMIT_S = 100.0  # below the limit of a test, so that a program that hangs is named


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a program ended, and every byte that it printed."""

    status: int  # negative: killed by that signal
    stdout: bytes
    stderr: bytes

    @property
    def said(self) -> str:
        """The end of stderr, for the message of a failing test."""
        return self.stderr.decode(errors="replace")[-3000:]


def environment(**extra: str) -> dict[str, str]:
    """One thread, faults planted, nothing left over from the run of the tests themselves."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "PYTEST_")) and k != "HEALTHY"}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **extra}


def run_python(*arguments: str | Path, cwd: Path = SCRIPTS, **extra: str) -> Finished:
    """`python ARGUMENTS`, with further environment variables."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment(**extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    return Finished(status=done.returncode, stdout=done.stdout, stderr=done.stderr)


def run_supervised(*arguments: str | Path, out: Path, cwd: Path = SCRIPTS, **extra: str) -> Finished:
    """`evenkeel run --out OUT ARGUMENTS`; a bad step is explained, and nothing is tried on it."""
    return run_python("-m", "evenkeel", "run", "--no-experiments", "--out", out, *arguments, cwd=cwd, **extra)


def run_with_experiments(*arguments: str | Path, out: Path, cwd: Path = SCRIPTS, **extra: str) -> Finished:
    """The same, as users run it."""
    return run_python("-m", "evenkeel", "run", "--out", out, *arguments, cwd=cwd, **extra)


@pytest.fixture(scope="session")
def with_experiments() -> Callable[..., Finished]:
    """`with_experiments("script.py", out=directory)`."""
    return run_with_experiments


@pytest.fixture(scope="session")
def scripts() -> Path:
    """Where the planted scripts lie."""
    return SCRIPTS


@pytest.fixture(scope="session")
def plain() -> Callable[..., Finished]:
    """Start a program with Python alone."""
    return run_python


@pytest.fixture(scope="session")
def supervised() -> Callable[..., Finished]:
    """Start a program under `evenkeel run`."""
    return run_supervised


@pytest.fixture(scope="session")
def planted_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`planted_run("gan.py")`: where the run of a planted script was written. Each is run once, whoever asks first."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "planted"
    shared.mkdir(exist_ok=True)

    def run(*target: str) -> Path:
        out = shared / target[-1]
        with (shared / f"{target[-1]}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not out.exists():
                done = run_supervised(*target, out=out)
                assert done.status == 3, done.said
        return out

    return run


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Write a program's files into a directory of its own: `project(**{"train.py": text})`."""

    def write(**files: str) -> Path:
        directory = tmp_path / "project"
        directory.mkdir()
        for name, text in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return directory

    return write
