from __future__ import annotations

import subprocess
import sys

import pytest

import evenkeel
from evenkeel import ops


@pytest.mark.parametrize("text", ["import evenkeel.ops as o; o.norm", "import evenkeel; evenkeel.ops.norm"])
def test_both_ways_in(text: str) -> None:
    """By import and by attribute; the root alone does not load torch."""
    program = f"import sys, evenkeel; assert 'torch' not in sys.modules; {text}"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_names_are_listed_once() -> None:
    """What is listed exists and has a manual page."""
    assert "ops" in dir(evenkeel)
    assert len(ops.__all__) == len(set(ops.__all__)) > 30
    for name in ops.__all__:
        assert getattr(ops, name).__doc__, name
