"""What decides about bits besides the step itself: versions, flags, the machine, and the text of the program."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import evenkeel
from evenkeel.capsule.manifest import Program
from evenkeel.core.settings import RunSettings
from evenkeel.step.snapshot import RandomState

_VARIABLES = ("PYTHONHASHSEED", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG", "ATEN_CPU_CAPABILITY")
_GIT_S = 10.0


def environment() -> tuple[tuple[str, str], ...]:
    """Versions, flags and settings by name, the same names everywhere. Cost: a few calls; nothing is computed."""
    found: dict[str, object] = {
        "evenkeel": evenkeel.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "instructions": torch.backends.cpu.get_cpu_capability(),  # AVX2 and AVX512 add up in another order
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "default dtype": torch.get_default_dtype(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "memory is filled": torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        "float32 matmul precision": torch.get_float32_matmul_precision(),
        "cudnn benchmark": torch.backends.cudnn.benchmark,
        "cudnn deterministic": torch.backends.cudnn.deterministic,
        "cudnn TF32": torch.backends.cudnn.allow_tf32,
        "denormals are flushed": _flushes_denormals(),
        **{name: os.environ.get(name, "not set") for name in _VARIABLES},
    }
    return tuple((name, str(value)) for name, value in found.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """The program as it was when it began; noted then, because a long run outlives many an edit of its text."""

    target: str  # as typed
    as_module: bool
    arguments: tuple[str, ...]
    cwd: str
    sha256: str | None  # of the script's text; None where it is not known yet (a module) or there is none
    random: RandomState | None  # None: the program had begun already

    @classmethod
    def of_run(cls, settings: RunSettings) -> Beginning:
        """Right before `evenkeel run` starts its program."""
        return cls(
            target=settings.target,
            as_module=settings.as_module,
            arguments=settings.arguments,
            cwd=str(Path.cwd()),
            sha256=None if settings.as_module else _sha256(Path(settings.target)),
            random=RandomState.capture(),
        )

    @classmethod
    def of_process(cls) -> Beginning:
        """Of the program that runs already."""
        spec = getattr(sys.modules.get("__main__"), "__spec__", None)
        return cls(
            target=sys.argv[0] if spec is None else str(spec.name).removesuffix(".__main__"),
            as_module=spec is not None,
            arguments=tuple(sys.argv[1:]),
            cwd=str(Path.cwd()),
            sha256=None,
            random=None,
        )

    def program(self) -> Program:
        """With its text and the state of its repository. Cost: two calls of git."""
        main = getattr(sys.modules.get("__main__"), "__file__", None)
        path = Path(self.cwd, main) if main else None
        sha256 = self.sha256 or (_sha256(path) if path else None)
        commit, is_dirty, why_not = _git_state(path.parent if path else Path(self.cwd))
        return Program(
            target=self.target,
            as_module=self.as_module,
            arguments=self.arguments,
            cwd=self.cwd,
            file=str(path) if sha256 else None,
            sha256=sha256,
            git_commit=commit,
            git_is_dirty=is_dirty,
            git_why_not=why_not,
        )


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _git_state(directory: Path) -> tuple[str | None, bool | None, str]:
    """Commit and whether files were changed since; else why not."""
    try:
        commit = _git(directory, "rev-parse", "HEAD")
        changed = _git(directory, "status", "--porcelain", "--untracked-files=no")
    except FileNotFoundError:
        return None, None, "git is not installed here"
    except subprocess.CalledProcessError:
        return None, None, f"{directory} is in no git repository with a commit"
    except (subprocess.TimeoutExpired, OSError) as error:
        return None, None, f"git did not answer: {error}"
    return commit, bool(changed), ""


def _git(directory: Path, *words: str) -> str:
    done = subprocess.run(  # noqa: S603  fixed words; nothing of the program is among them
        ["git", "--no-optional-locks", "-C", str(directory), *words],  # noqa: S607  the one on the path
        check=True,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_GIT_S,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout.strip()


def _flushes_denormals() -> bool:
    smallest = torch.tensor(1e-310, dtype=torch.float64)
    return float(smallest * 0.5) == 0.0
