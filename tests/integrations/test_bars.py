"""The report of a program that draws a progress bar."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from tests.end_to_end.conftest import environment, run_python

pytest.importorskip("tqdm", reason="tqdm is not installed")

TQDM = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

torch.manual_seed(0)
x = torch.rand(40, 3)
x[21] = 0
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for (rows,) in tqdm(DataLoader(TensorDataset(x), batch_size=8)):
    loss = (model(rows) / rows.sum(dim=1, keepdim=True)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def test_the_report_stands_clear_of_tqdm(tmp_path: Path) -> None:
    """What was drawn before it on that line is wiped out."""
    (tmp_path / "train.py").write_text(TQDM)
    head = ("-m", "evenkeel", "run", "--no-experiments", "--out", tmp_path / "out")
    done = run_python(*head, "train.py", cwd=tmp_path)
    assert done.status == 3, done.said
    before, _, _ = done.stderr.partition(b"evenkeel ---")
    assert b"5 [" in before  # there was a bar
    assert before.rpartition(b"\r")[2].strip() == b"", before[-200:]


RICH = TQDM.replace("from tqdm import tqdm", "from rich.progress import track").replace("tqdm(", "track(")


def on_terminal(*command: str, cwd: Path) -> tuple[int, str]:
    """The status of a program and what it wrote to its terminal, of which stdout and stderr are the same."""
    ours, its = pty.openpty()
    variables = environment(TERM="xterm", COLUMNS="100")
    with subprocess.Popen(command, cwd=cwd, env=variables, stdin=subprocess.DEVNULL, stdout=its, stderr=its) as started:
        os.close(its)
        written = b"".join(iter(lambda: _read(ours), b""))
        os.close(ours)
    return started.returncode, written.decode()


def _read(terminal: int) -> bytes:
    """The next piece; a terminal whose program has ended reads as an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_the_report_stands_clear_of_rich(tmp_path: Path) -> None:
    """On a terminal, where it redraws its bars ten times a second: each line of the report is left whole."""
    (tmp_path / "train.py").write_text(RICH)
    head = (sys.executable, "-m", "evenkeel", "run", "--no-experiments", "--out", "out")
    status, written = on_terminal(*head, "train.py", cwd=tmp_path)
    assert status == 3, written
    before, _, report = written.partition("evenkeel \x1b")
    assert "\x1b[?25l" in before  # there was a bar, which hides the cursor
    assert before.endswith(("\r\x1b[2K", "\n")), before[-200:]  # the line it stood on was wiped out
    last = next(line for line in report.splitlines() if "evenkeel replay" in line)
    assert "━" not in last
    assert "━" in report.rpartition("evenkeel replay")[2]  # it is drawn again below
