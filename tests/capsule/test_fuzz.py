"""10,000 mutated capsules: each is opened or refused; nothing is written, and no code of theirs runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evenkeel.capsule.freeze import Frozen

FUZZ = Path(__file__).with_name("fuzz.py")
COUNT = 2_500  # with each of four seeds


@pytest.mark.slow
@pytest.mark.timeout(600)  # on a machine that does other things too
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2, 3))])
def test_no_capsule_does_harm(seed: int, frozen: Callable[..., Frozen]) -> None:
    """Most are refused; some mutations leave a capsule that is as good as before."""
    path = frozen(as_zip=True).path
    done = subprocess.run(
        [sys.executable, str(FUZZ), str(path), str(COUNT), str(seed)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert sum(told["ended"].values()) == COUNT
    assert told["ended"].pop("without a word") == 0
    assert told["ended"]["refused"] > COUNT / 2
    assert told["ended"]["opened"] > COUNT / 100
    assert told["seen"] == {}
    assert told["left"] == ["capsule.zip", "mutant", "mutant.zip"]
