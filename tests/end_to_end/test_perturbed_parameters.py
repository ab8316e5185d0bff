"""A step that moves its own parameters before the update, as sharpness-aware training does, comes again in a child."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHARPNESS_AWARE = Path(__file__).parents[2] / "bench" / "cases" / "p08_sharpness_aware.py"


def test_step_that_spoiled_its_parameters_is_reproduced(supervised: Callable[..., Any], tmp_path: Path) -> None:
    """They were not read after the last updates, and yet it is not one of those that is to blame."""
    out = tmp_path / "out"
    done = supervised(SHARPNESS_AWARE, out=out)
    assert done.status == 3, done.said
    incident = json.loads((out / "incident.json").read_text())
    truth = json.loads(SHARPNESS_AWARE.with_suffix(".json").read_text())
    assert incident["reproduced"] is True
    assert incident["step"] == truth["step"]
    assert incident["origin"]["line"] == truth["line"]
