"""A script fails, gets a patch of its own lines, and with that patch it does not fail."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]  # starts a program; see conftest

SCRIPT = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from losses import nll

torch.manual_seed(0)
x, y = torch.randn(40, 6), torch.randint(5, (40,))
x[22] *= 4000  # in step 2
model = nn.Linear(6, 5)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
for batch, labels in DataLoader(TensorDataset(x, y), batch_size=8):
    loss = nll(model(batch), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.3f}", flush=True)
"""
LOSSES = '''\
"""Losses of the project."""

import torch


def nll(logits, labels):
    p = torch.softmax(logits, dim=1)  # rows
    return -torch.log(p).gather(1, labels[:, None]).mean()
'''
BY_COLUMN = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 knows no columns, so there are no edits")


@BY_COLUMN
def test_patch_is_offered_written_and_right(
    project: Callable[..., Path], plain: Start, with_experiments: Start
) -> None:
    """The diff in the incident is that of fix.patch; it applies, and the script then runs to its end."""
    directory = project(**{"train.py": SCRIPT, "losses.py": LOSSES})
    done = with_experiments("--fix-preview", "train.py", out=directory / "out", cwd=directory)
    assert done.status == 3, done.said
    incident = json.loads((directory / "out" / "incident.json").read_text())
    assert incident["step"] == 2
    advice = incident["advice"][0]
    assert "+    return -torch.log_softmax(logits, dim=1).gather(1, labels[:, None]).mean()\n" in advice["diff"]
    assert advice["verified_by"] == "the patched program, run from its start to step 3"
    assert "with this patch steps 2 and 3 are finite, loss " in advice["text"]
    assert (directory / "out" / "fix.patch").read_text() == advice["diff"]
    assert (directory / "losses.py").read_text() == LOSSES
    tool = shutil.which("patch")
    if tool is None:
        pytest.skip("patch is not installed; the rest of the claim needs it")
    with (directory / "out" / "fix.patch").open() as diff:
        subprocess.run([tool, "-p1"], cwd=directory, stdin=diff, check=True, capture_output=True)
    mended = plain("train.py", cwd=directory)
    assert mended.status == 0, mended.said
    losses = [float(line) for line in mended.stdout.split()]
    assert len(losses) == 5
    assert all(loss < float("inf") for loss in losses)


@BY_COLUMN
def test_without_the_option_only_the_report_has_the_diff(project: Callable[..., Path], with_experiments: Start) -> None:
    """No file is made that was not asked for."""
    directory = project(**{"train.py": SCRIPT, "losses.py": LOSSES})
    done = with_experiments("train.py", out=directory / "out", cwd=directory)
    assert done.status == 3, done.said
    incident = json.loads((directory / "out" / "incident.json").read_text())
    assert incident["advice"][0]["diff"].startswith("--- a/losses.py\n+++ b/losses.py\n")
    assert incident["patch"] is None
    assert not (directory / "out" / "fix.patch").exists()
    assert b"+    return -torch.log_softmax(logits, dim=1)" in done.stderr


@BY_COLUMN
def test_no_patch_where_operands_stand_elsewhere(project: Callable[..., Path], with_experiments: Start) -> None:
    """The probabilities are made in one function, and their logarithm is taken in another."""
    losses = LOSSES.replace("def nll", "def shares(logits):\n    return torch.softmax(logits, dim=1)\n\n\ndef nll")
    losses = losses.replace("p = torch.softmax(logits, dim=1)  # rows", "p = shares(logits)")
    directory = project(**{"train.py": SCRIPT, "losses.py": losses})
    done = with_experiments("--fix-preview", "train.py", out=directory / "out", cwd=directory)
    assert done.status == 3, done.said
    incident = json.loads((directory / "out" / "incident.json").read_text())
    assert all(advice["diff"] is None for advice in incident["advice"])
    assert not (directory / "out" / "fix.patch").exists()
