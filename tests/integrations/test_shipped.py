"""The programs that a framework ships with its releases run under `evenkeel run` as they run alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.end_to_end.conftest import run_python
from tests.tables import rows

pytest.importorskip("accelerate", reason="accelerate is not installed")

# What `accelerate test` runs: it trains with every kind of its loaders and compares weights with plain training.
ALWAYS = "accelerate.test_utils.scripts.test_script"
SHIPPED = rows([ALWAYS, "accelerate.test_utils.scripts.test_sync"], always={ALWAYS})


@pytest.mark.parametrize("module", SHIPPED)
def test_shipped_program_is_content(module: str, tmp_path: Path) -> None:
    """Its own comparisons hold, and it says what it says alone."""
    alone = run_python("-m", module, cwd=tmp_path)
    watched = run_python("-m", "evenkeel", "run", "--out", tmp_path / "out", "-m", module, cwd=tmp_path)
    assert (alone.status, watched.status) == (0, 0), watched.said
    assert watched.stdout == alone.stdout
    assert len((tmp_path / "out" / "journal-rank0.jsonl").read_text().splitlines()) > 10
