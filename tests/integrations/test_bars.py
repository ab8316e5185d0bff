"""The report of a program that draws a progress bar."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.end_to_end.conftest import run_python

pytest.importorskip("tqdm", reason="tqdm is not installed")

SCRIPT = """
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


def test_the_report_begins_on_a_line_of_its_own(tmp_path: Path) -> None:
    """What was drawn before it on that line is wiped out."""
    (tmp_path / "train.py").write_text(SCRIPT)
    head = ("-m", "evenkeel", "run", "--no-experiments", "--out", tmp_path / "out")
    done = run_python(*head, "train.py", cwd=tmp_path)
    assert done.status == 3, done.said
    before, _, _ = done.stderr.partition(b"evenkeel ---")
    assert b"5 [" in before  # there was a bar
    assert before.rpartition(b"\r")[2].strip() == b"", before[-200:]
