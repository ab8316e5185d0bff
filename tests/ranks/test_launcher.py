"""The launcher of these tests names a rank that hangs, and leaves no process behind."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(60)

ONE_HANGS = """
import os, subprocess, sys, time
from collections.abc import Callable
from pathlib import Path

child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path(sys.argv[1], "child" + os.environ["RANK"]).write_text(str(child.pid))
if os.environ["RANK"] == "1":
    time.sleep(600)
child.kill()
child.wait()
print("through")
"""


def test_rank_that_hangs_is_named_and_its_children_die(ranks: Callable[..., Any]) -> None:
    """The other rank's status is its own."""
    ended = ranks("-c", ONE_HANGS, limit_s=5.0)
    assert ended.statuses == (0, None)
    assert ended.stdout == ("through\n", "")
    children = [int((ended.directory / f"child{rank}").read_text()) for rank in range(2)]
    assert len(set(children)) == 2
    assert [_ends(child) for child in children] == [True, True]


def _ends(pid: int) -> bool:
    """Within five seconds; a busy machine takes a while to let a killed process die."""
    until = time.monotonic() + 5
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not _runs(pid)


def _runs(pid: int) -> bool:
    """Whether a process lives; one that waits for its parent to ask for its status does not."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()
