"""Updates at fault, in three unlike models each, under `evenkeel run`; with one thing right all are healthy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.grid.updates import BEGIN, MODEL, UPDATES, Update

HERE = Path(__file__).parent
TIME_LIMIT_S = 80.0
CELLS = [(update, model) for update in UPDATES for model in update.models]


def run(program: str, directory: Path) -> tuple[int, Path]:
    """A program under `evenkeel run`: its exit status, and where the run was written."""
    script, out = directory / "program.py", directory / "out"
    script.write_text(BEGIN.format(folder=str(HERE)) + program)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "evenkeel", "run", "--no-experiments", "--out", str(out), str(script)],
        env={**kept, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    assert done.returncode in {0, 3}, done.stderr.decode()[-2000:]
    return done.returncode, out


ALWAYS = {"centred", "in half", "loaded"}


def rows() -> list[Any]:
    """The first model of some updates in every run of the tests, the others in the long one."""
    return [
        pytest.param(u, model, id=f"{u.name}-{model}", marks=[] if _is_always(u, model) else [pytest.mark.long])
        for u, model in CELLS
    ]


def _is_always(update: Update, model: str) -> bool:
    return update.name in ALWAYS and model == update.models[0]


def test_the_table_is_whole() -> None:
    """Five programs in three models."""
    assert (len(UPDATES), len(CELLS)) == (5, 15)
    assert len({update.name for update in UPDATES}) == len(UPDATES)


@pytest.mark.parametrize(("update", "model"), rows())
def test_update_at_fault_is_named(update: Update, model: str, tmp_path: Path) -> None:
    """Cause and phase."""
    status, out = run(MODEL.format(model=model) + update.program.format(**update.bad), tmp_path)
    assert status == 3
    told: dict[str, Any] = json.loads((out / "incident.json").read_text())
    assert told["reproduced"]
    assert (told["cause"]["class"], told["phase"]) == (update.cause, update.phase), told["cause"]["text"]


@pytest.mark.parametrize("model", sorted({model for _, model in CELLS}))
def test_right_updates_are_healthy(model: str, tmp_path: Path) -> None:
    """All programs of a model, with one thing right in each, in one run."""
    chosen = [update for update in UPDATES if model in update.models]
    assert chosen
    status, out = run(
        "".join(MODEL.format(model=model) + update.program.format(**update.good) for update in chosen), tmp_path
    )
    assert (status, list(out.rglob("incident*"))) == (0, [])
