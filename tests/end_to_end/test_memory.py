"""Supervision holds the batches of one step and one copy of the buffers; nothing grows with steps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]  # starts a program; see conftest

TRAINING = """\
import gc, json, resource, sys
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

class Ones(Dataset):
    def __init__(self, length):
        self.length = length
    def __len__(self):
        return self.length
    def __getitem__(self, index):
        return torch.ones(256, 256)

def alive():
    return sum(type(o) is torch.Tensor and o.shape == (4, 256, 256) for o in gc.get_objects())

model = nn.Sequential(nn.Flatten(), nn.Linear(256 * 256, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
validation = DataLoader(Ones(4 * EVALUATED), batch_size=4)
batches, blocks, peaks, evaluating = [], [], [], 0
for step, x in enumerate(DataLoader(Ones(4 * 300), batch_size=4)):
    loss = model(x).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step == 150:
        with torch.no_grad():
            for v in validation:
                model(v)
                evaluating = max(evaluating, alive())
    if step % 10 == 5:
        batches.append(alive())
    if step in (100, 299):
        gc.collect()
        blocks.append(sys.getallocatedblocks())
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
json.dump([max(batches), blocks[1] - blocks[0], peaks[1] - peaks[0], evaluating], open(sys.argv[1], "w"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("num_evaluated", [0, pytest.param(200, marks=pytest.mark.long)])
def test_supervision_does_not_grow(
    num_evaluated: int, project: Callable[..., Path], plain: Start, supervised: Start, tmp_path: Path
) -> None:
    """300 steps with batches of 1 MB, without and with an evaluation loop of 200 batches among them."""
    directory = project(**{"train.py": TRAINING.replace("EVALUATED", str(num_evaluated))})
    figures = []
    for start, name in ((plain, "alone"), (supervised, "watched")):
        more = {} if start is plain else {"out": tmp_path / "out"}
        done = start("train.py", tmp_path / name, cwd=directory, **more)
        assert done.status == 0, done.said
        figures.append(json.loads((tmp_path / name).read_text()))
    alone, watched = figures
    assert alone[0] >= 1, "the script does not see its own batches"
    assert watched[0] <= alone[0] + 1, "more than the batches of one step are held"
    assert watched[1] - alone[1] < 2000, "objects grow with steps"
    # Eight batches more than before are 8 MB; the 200 of the evaluation, or the 200 steps, would be 200 MB.
    assert watched[2] - alone[2] < 20_000, "memory grows with steps"
    assert watched[3] - alone[3] <= 8, "an evaluation loop fills the memory"
