"""Real ranks: one process each, over gloo, on this machine."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PARTS = Path(__file__).with_name("parts")
TIME_LIMIT_S = 60.0  # below the limit of a test, so that its children are killed and their output shown

Reports = list[dict[str, Any]]  # by rank; {} from one that ended before it came to that


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Callable[..., Reports]]:
    """`play("leaving", "killed", 2)`: two ranks play that part of `parts/leaving.py`; what each reports, by rank.

    Whatever still runs at the end of the test is killed, each process by its own id.
    """
    started: list[subprocess.Popen[bytes]] = []

    def start(file: str, part: str, size: int) -> Reports:
        started.extend(_started(file, part, rank, size, tmp_path) for rank in range(size))
        for process in started:
            process.wait(TIME_LIMIT_S)
        return [_reported(tmp_path / f"report{rank}") for rank in range(size)]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
    for output in sorted(tmp_path.glob("output*")):  # pytest shows it beside a failure
        sys.stdout.write(f"{output.name}:\n{output.read_text()}\n")


def _started(file: str, part: str, rank: int, size: int, directory: Path) -> subprocess.Popen[bytes]:
    with (directory / f"output{rank}").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-W", "error", PARTS / f"{file}.py", part, str(rank), str(size), directory],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def _reported(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}
