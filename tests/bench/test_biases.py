"""The page on metrics says what its script measures, and its examples run."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "metrics.md"


def loaded(name: str) -> ModuleType:
    """A module of bench/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "bench" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


biases = loaded("biases")


def test_table_of_the_page_is_what_the_script_measures() -> None:
    """Each figure; `python bench/biases.py --write` brings the page up to date."""
    page = PAGE.read_text(encoding="utf8")
    rows = biases.rows()
    assert len(rows) > 20
    assert biases.with_table(page, biases.table(rows)) == page


def test_another_table_would_be_noticed() -> None:
    """The twin of the test above."""
    page = PAGE.read_text(encoding="utf8")
    assert biases.with_table(page, "another") != page
    assert biases.with_table(biases.with_table(page, "another"), biases.table(biases.rows())) == page


def test_examples_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    """One after the other, as a reader would type them."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf8"), re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, object] = {"__name__": "page"}
    sys.modules["page"] = ModuleType("page")  # dataclass looks its module up
    for block in blocks:
        exec(block, names)  # noqa: S102  # the page's own words
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("bits/spike over 2 of 3 cells (1 undefined: no spikes)")
    assert said[1].endswith("over 16 of 16 elements")
