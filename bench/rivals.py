"""Other tools that watch a training for bad numbers. None is needed: one that is not installed is said to be absent."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from variants import Looped, Variant
from workloads import Workload, training_of

try:
    from transformers.debug_utils import DebugUnderflowOverflow
except ImportError:
    DebugUnderflowOverflow = None
try:
    from lightning_loop import LightningLoop
except ImportError:
    LightningLoop = None

DEBUG, LIGHTNING, LIGHTNING_ANOMALY, MSPROBE = "DebugUnderflowOverflow", "Lightning", "Lightning anomaly", "msProbe"
PACKAGES = {DEBUG: "transformers", LIGHTNING: "lightning", LIGHTNING_ANOMALY: "lightning", MSPROBE: "mindstudio-probe"}
MSPROBE_LOOP = Path(__file__).resolve().with_name("msprobe_loop.py")
ANSWER_TIMEOUT_S = 120.0


class RivalFailedError(RuntimeError):
    """Another tool could not be run here; the message is a sentence that says why."""


@dataclass
class MsProbeProcess:
    """The process in which msProbe runs; it works only while it is asked."""

    process: subprocess.Popen[str]
    log: Path

    def seconds(self, workload: str, num_steps: int, *, clipped: bool) -> float:
        """The seconds of a step.

        Raises:
            RivalFailedError: it ended, or did not answer in time.
        """
        asked = {
            "workload": workload,
            "clipped": clipped,
            "num_steps": num_steps,
            "num_threads": torch.get_num_threads(),
        }
        patience = threading.Timer(ANSWER_TIMEOUT_S, self.process.kill)
        patience.start()
        try:
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            patience.cancel()
        if not answer:
            said = (self.log.read_text(errors="replace").strip() or "nothing").splitlines()[-1]
            raise RivalFailedError(
                f"msProbe ended, or gave no answer in {ANSWER_TIMEOUT_S:.0f} s; its last words: {said}"
            )
        return json.loads(answer)["seconds"]


@dataclass
class MsProbeLoop:
    """One training in the process of msProbe."""

    home: MsProbeProcess
    workload: str
    clipped: bool

    def block(self, num_steps: int) -> float:
        """See `Variant`."""
        return self.home.seconds(self.workload, num_steps, clipped=self.clipped)


def absent() -> dict[str, str]:
    """The tools that are not installed."""
    there = {
        DEBUG: DebugUnderflowOverflow is not None,
        LIGHTNING: LightningLoop is not None,
        LIGHTNING_ANOMALY: LightningLoop is not None,
        MSPROBE: importlib.util.find_spec("msprobe") is not None,
    }
    return {
        name: f"not measured: {PACKAGES[name]} is not installed (the extra `bench` names it)"
        for name, found in there.items()
        if not found
    }


@contextmanager
def msprobe_process(folder: Path) -> Iterator[MsProbeProcess | None]:
    """Start msProbe's process where it is installed; it writes to `folder`, and ends with the context."""
    if MSPROBE in absent():
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    command = [sys.executable, str(MSPROBE_LOOP), str(folder)]
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        yield MsProbeProcess(process, log)
    finally:
        process.kill()
        process.communicate()


def rivals_of(workload: Workload, home: MsProbeProcess | None, *, clipped: bool) -> dict[str, Variant]:
    """The installed tools, each with a training of its own: what they hook into a model stays there."""
    found: dict[str, Variant] = {}
    if DebugUnderflowOverflow is not None:
        training = training_of(workload, clipped=clipped)
        DebugUnderflowOverflow(training.model)
        found[DEBUG] = Looped(training.steps())
    if LightningLoop is not None:
        for name, detect in ((LIGHTNING, False), (LIGHTNING_ANOMALY, True)):
            found[name] = LightningLoop(training_of(workload, clipped=clipped), detect_anomaly=detect)
    if home is not None:
        found[MSPROBE] = MsProbeLoop(home, workload.name, clipped)
    return found
