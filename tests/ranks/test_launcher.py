"""The launcher of these tests names a rank that hangs, and leaves no process behind."""

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
    assert [_runs(child) for child in children] == [False, False]


def _runs(pid: int) -> bool:
    """Whether a process lives; one that waits for its parent to ask for its status does not."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()
