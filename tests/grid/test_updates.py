"""Optimizers that go bad by themselves, in three unlike models: traced in a child process, from the start."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TIME_LIMIT_S = 80.0
BEGIN = """
import sys
sys.path.insert(0, {folder!r})
import torch
from models import MODELS
torch.manual_seed(0)
model = MODELS[{model!r}]()
"""
CENTRED = """
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.5, centered={centred})
slopes = [100 * torch.rand_like(p) for p in model.parameters()]
for step in range(40):
    loss = sum((p * slope).sum() for p, slope in zip(model.parameters(), slopes))
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
IN_HALF = """
model = model.half()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps={eps})
for step in range(4):
    loss = 0.01 * model(torch.randn(16, 6).half()).float().square().mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
LOADED = """
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
saved = optimizer.state_dict()
for index, p in enumerate(model.parameters()):
    saved["state"][index] = {{
        "step": torch.tensor(100.0), "exp_avg": torch.full_like(p, {value}), "exp_avg_sq": torch.ones_like(p)
    }}
optimizer.load_state_dict(saved)
for step in range(3):
    loss = model(torch.randn(16, 6)).square().mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
FAULTS = {
    "centred": (CENTRED, {"centred": True}, {"centred": False}, ("EK254", "dynamics", "optimizer")),
    "in half": (IN_HALF, {"eps": 1e-8}, {"eps": 1e-3}, ("EK273", "precision", "optimizer")),
    "loaded": (LOADED, {"value": "float('nan')"}, {"value": 0.0}, ("EK264", "state", "state")),
}
MODELS = ("perceptron", "transformer", "graph")


def run(program: str, directory: Path) -> tuple[int, Path]:
    """A program under `evenkeel run`: its exit status, and where the run was written."""
    directory.mkdir()
    script, out = directory / "program.py", directory / "out"
    script.write_text(program)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "evenkeel", "run", "--out", str(out), str(script)],
        env={**kept, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    assert done.returncode in {0, 3}, done.stderr.decode()[-2000:]
    return done.returncode, out


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fault", FAULTS)
def test_update_at_fault_is_named(fault: str, model: str, tmp_path: Path) -> None:
    """Code, family and phase; the same program with one thing right is healthy."""
    text, bad, good, expected = FAULTS[fault]
    begin = BEGIN.format(folder=str(HERE), model=model)
    status, out = run(begin + text.format(**bad), tmp_path / "bad")
    assert status == 3
    told: dict[str, Any] = json.loads((out / "incident.json").read_text())
    assert told["reproduced"]
    assert (told["cause"]["code"], told["cause"]["family"], told["phase"]) == expected, told["cause"]["text"]
    assert run(begin + text.format(**good), tmp_path / "good")[0] == 0
