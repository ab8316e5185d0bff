"""Runs a script under torch's anomaly mode and prints as JSON what that mode said.

    python bench/anomaly_runner.py SCRIPT

The last line of stdout is {"raised", "step", "line", "function", "op", "message"}: whether the script was
stopped, after how many optimizer steps, and which line of the script's own file the forward traceback (or, where
there is none, the error's own traceback) names last.
"""

from __future__ import annotations

import io
import json
import re
import runpy
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')
NODE = re.compile(r"Function '(?P<node>\w+?)(Backward\d*)?' returned nan values")
FORWARD = "Traceback of forward call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What anomaly mode said about a script."""

    raised: bool
    step: int
    line: int | None = None
    function: str | None = None
    op: str | None = None
    message: str = ""


def last_frame(text: str, script: Path) -> tuple[int, str] | None:
    """Line and function of the last frame that lies in the script's own file."""
    own = [found for found in FRAME.finditer(text) if Path(found["file"]).resolve() == script]
    return (int(own[-1]["line"]), own[-1]["function"]) if own else None


def verdict(error: Exception, said: Sequence[str], step: int, script: Path) -> Verdict:
    """The verdict from the error that stopped the script and the warnings before it."""
    forward = [text for text in said if FORWARD in text]
    own = "".join(traceback.format_exception(error))
    frame = last_frame(forward[-1], script) if forward else last_frame(own, script)
    node = NODE.search(str(error))
    return Verdict(
        raised=True,
        step=step,
        line=frame[0] if frame else None,
        function=frame[1] if frame else None,
        op=node["node"] if node else None,
        message=str(error).splitlines()[0],
    )


def run(script: Path) -> Verdict:
    """Run the script with anomaly mode on; its own output is swallowed."""
    steps: list[object] = []
    hook = register_optimizer_step_post_hook(lambda optimizer, _args, _kwargs: steps.append(optimizer))
    sys.argv = [str(script)]
    try:
        with (
            warnings.catch_warnings(record=True) as said,
            torch.autograd.set_detect_anomaly(mode=True),
            redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("always")
            runpy.run_path(str(script), run_name="__main__")
    except Exception as error:  # noqa: BLE001  whatever stops the script is the verdict
        return verdict(error, [str(warning.message) for warning in said], len(steps), script)
    finally:
        hook.remove()
    return Verdict(raised=False, step=len(steps))


if __name__ == "__main__":
    print(json.dumps(asdict(run(Path(sys.argv[1]).resolve()))))
