"""The parser of whole files is loaded at an incident, and not before."""

import json
import subprocess
import sys

import pytest

from evenkeel import patch

PROBE = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
before = "libcst" in sys.modules
importlib.import_module("evenkeel.patch").patched_files
print(json.dumps([before, "libcst" in sys.modules]))
"""


@pytest.mark.parametrize("names", [["evenkeel", "evenkeel.cli.main", "evenkeel.cli.run"], ["evenkeel.supervision.run"]])
def test_libcst_is_loaded_on_first_use(names: list[str]) -> None:
    """Neither `evenkeel --help` nor a run that stays healthy waits for it; the probe itself would see it."""
    done = subprocess.run([sys.executable, "-c", PROBE, json.dumps(names)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [False, True]


def test_every_name_is_there() -> None:
    """And no other; the error lists them."""
    assert all(callable(getattr(patch, name)) for name in patch.__all__)
    with pytest.raises(AttributeError, match=r"^evenkeel.patch has no 'apply_all'; it has Refusal, diff_of"):
        patch.apply_all  # noqa: B018  asking is what raises
