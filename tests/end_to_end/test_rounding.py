"""A step whose sums come in another order each time: the same failure, though not the same bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]
Project = Callable[..., Path]

OF_A_CAPSULE = {
    "bits": "the same failure, the same to the bit",
    "rounding": "the same failure, the same but for rounding",
    "none": "the same tensors are bad, with other bits",
}

# a count that no replay puts back stands for the order in which threads add
SCRIPT = """
import itertools
import os

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(64, 4)
x[21] = -1.0
model, other = nn.Linear(4, 3), nn.Linear(4, 3)
optimizer = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.01)
count = itertools.count(7 if "EVENKEEL_RERUN" in os.environ else 0)
for (a,) in DataLoader(TensorDataset(x), batch_size=8):
    healthy = other(a)
    healthy.register_hook(lambda g: g * (1 + NOISE * next(count)))
    loss = healthy.square().mean() + model(a).mean() * torch.log(a.sum(dim=1) + 4).mean().exp()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(("noise", "likeness"), [("0", "bits"), ("1e-6", "rounding"), ("1e-2", "none")])
def test_same_failure_but_for_rounding(
    noise: str, likeness: str, *, supervised: Start, plain: Start, project: Project, tmp_path: Path
) -> None:
    """Noise in the last digits is told and forgiven; noise in the second digit is another step. So too of a capsule."""
    directory = project(**{"train.py": SCRIPT.replace("NOISE", noise)})
    done = supervised("train.py", cwd=directory, out=tmp_path / "out")
    assert done.status == 3, done.said
    told = json.loads((tmp_path / "out" / "incident.json").read_text())
    assert (told["reproduced"], told["but_for_rounding"]) == (likeness != "none", likeness == "rounding")
    assert told["origin"]["function"] == "log"
    assert ("differ in their last digits" in " ".join(done.said.split())) is (likeness == "rounding")
    replayed = plain("-m", "evenkeel", "replay", tmp_path / "out" / "capsule", cwd=directory)
    assert (replayed.status, OF_A_CAPSULE[likeness] in " ".join(replayed.said.split())) == (3, True), replayed.said
