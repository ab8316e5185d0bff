"""The torch-free zone starts without torch, so that a report opens at once and anywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

ENTRANCES = ("evenkeel", "evenkeel.cli.main", "evenkeel.cli.explain")
ROOMS = ("evenkeel.core", "evenkeel.journal", "evenkeel.diagnose", "evenkeel.patch", "evenkeel.report")

# Runs in a fresh interpreter: this one may have loaded torch for another test.
PROBE = """
import importlib, json, pkgutil, sys

entrances, rooms = json.loads(sys.argv[1])
names = list(entrances)
for room in rooms:
    found = importlib.import_module(room)
    names += [room, *(module.name for module in pkgutil.walk_packages(found.__path__, room + "."))]
for name in names:
    importlib.import_module(name)
print(json.dumps({"names": names, "torch": "torch" in sys.modules}))
"""


def load(entrances: tuple[str, ...], rooms: tuple[str, ...], path: Path | None = None) -> tuple[list[str], bool]:
    """Import the named modules and every module of the rooms; which were they, and did torch come along?"""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps([entrances, rooms])],
        env={**os.environ, "PYTHONPATH": "" if path is None else str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return answer["names"], answer["torch"]


def test_torch_free_zone_loads_without_torch() -> None:
    """No module of the zone brings torch in, neither itself nor through another."""
    names, torch_loaded = load(ENTRANCES, ROOMS)
    assert len(names) > 20, names
    assert all(any(name.startswith(room + ".") for name in names) for room in ROOMS), names
    assert not torch_loaded


def test_probe_sees_torch_in_a_planted_room(tmp_path: Path) -> None:
    """The twin: the same probe answers yes for a room in which one module imports torch."""
    room = tmp_path / "planted"
    room.mkdir()
    (room / "__init__.py").write_text("", encoding="utf8")
    (room / "tensor.py").write_text("import torch\n", encoding="utf8")
    names, torch_loaded = load((), ("planted",), tmp_path)
    assert names == ["planted", "planted.tensor"]
    assert torch_loaded
