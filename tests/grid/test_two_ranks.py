"""Causes that two ranks bring about together, in three models and both precisions; without the fault all is silent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

pytestmark = pytest.mark.long
SCRIPT = Path(__file__).parent / "two_ranks.py"
TIME_LIMIT_S = 240.0
MODELS, PRECISIONS = ("perceptron", "transformer", "graph"), ("float32", "bfloat16")
Told = dict[str, list[str | int] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A plant of `two_ranks.py`, and what is to be said by which ranks."""

    name: str
    cause: str
    phase: Literal["forward", "backward"]
    ranks: tuple[int, ...]
    models: tuple[str, ...] = MODELS
    precisions: tuple[str, ...] = PRECISIONS


SHARED = [
    Shared(name="sum", cause="received_from_rank", phase="forward", ranks=(0, 1)),
    Shared(name="sum of slopes", cause="received_from_rank", phase="backward", ranks=(0, 1)),
    Shared(name="empty share", cause="rank_without_data", phase="forward", ranks=(1,)),
]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    """By rank, what each cell came to. Both ranks run once."""
    directory = tmp_path_factory.mktemp("ranks")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(directory)],
        env={**kept, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return [json.loads((directory / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.timeout(300)
def test_every_cell_was_run(told: list[Told]) -> None:
    """Three plants in three models and two precisions, each with its neighbour, on both ranks."""
    assert [len(of_rank) for of_rank in told] == [len(SHARED) * len(MODELS) * len(PRECISIONS) * 2] * 2 == [36] * 2


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", SHARED, ids=lambda plant: plant.name)
def test_plant_is_named_by_the_ranks_that_met_it(plant: Shared, told: list[Told]) -> None:
    """Cause, phase and step; the other rank says only from whom it heard."""
    for rank in range(2):
        said = {cell: words for cell, words in told[rank].items() if cell.startswith(f"{plant.name}, ")}
        bad = [words for cell, words in said.items() if cell.endswith(", bad")]
        expected = [plant.cause, plant.phase, 2, True] if rank in plant.ranks else None
        assert bad == [expected] * 6
        assert [words for cell, words in said.items() if cell.endswith(", healthy")] == [None] * 6
