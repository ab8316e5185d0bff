"""The benchmark of cost in the loops of frameworks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
for _name in ("lightning", "accelerate", "transformers"):
    pytest.importorskip(_name, reason=f"{_name} is not installed")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A smoke run."""
    return subprocess.run(
        [sys.executable, "frameworks.py", "--quick", *arguments],
        cwd=BENCH,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100.0,
        check=False,
    )


@pytest.mark.long
@pytest.mark.parametrize("framework", ["Lightning", "Accelerate", "Transformers"])
def test_every_framework_is_measured(framework: str) -> None:
    """Evenkeel sees as many steps as the loop makes, else the run fails; two ratios have their intervals."""
    done = run("--only", framework)
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if framework in line)
    assert row.count("–") == 2
    assert "1.02" in row


@pytest.mark.long
def test_a_wrong_name_is_no_empty_table() -> None:
    """It is refused with the known ones."""
    done = run("--only", "Keras")
    assert done.returncode == 1
    assert "no framework is called Keras; there are Lightning, Accelerate, Transformers" in done.stderr
