"""What `evenkeel run` was asked for, checked and made definite; the output directory is made last."""

from __future__ import annotations

import difflib
import importlib.util
import itertools
import math
import os
import sys
import time
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from evenkeel.cli.logs import check_logs, logs_of
from evenkeel.core.errors import UsageError
from evenkeel.core.settings import CapsuleWish, PolicyName, RunSettings, every, policy_of, skip
from evenkeel.dist.launch import World, launched

DEFAULT_PARENT = Path("evenkeel-runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The command line of `evenkeel run` as given."""

    target: str
    as_module: bool
    arguments: tuple[str, ...]
    out: Path | None
    policy: PolicyName
    max_skips: int
    check_parameters_every: int
    max_rerun_minutes: float
    experiments: bool
    fix_preview: bool
    capsule: CapsuleWish
    logs: tuple[str, ...]


def resolve(asked: Asked) -> RunSettings:
    """Every option with its final value; the output directory is made.

    Raises:
        UsageError: something asked for cannot be done.
    """
    if not 0 <= asked.max_rerun_minutes < math.inf:
        raise UsageError(f"--max-rerun-minutes must be a number from 0 up, not {asked.max_rerun_minutes}")
    for option, value in (("max-skips", asked.max_skips), ("check-parameters-every", asked.check_parameters_every)):
        if value < 1:
            raise UsageError(f"--{option} must be a whole number from 1 up, not {value}")
    if asked.as_module:
        check_module(asked.target)
    else:
        check_script(Path(asked.target))
    check_logs(asked.logs)
    world = launched()
    if asked.out is None and world.size > 1:
        raise UsageError(f"{world.size} ranks write into one directory, which has to be named: add --out DIR")
    out = _default_directory(asked) if asked.out is None else claim(asked.out, world)
    return RunSettings(
        target=asked.target,
        as_module=asked.as_module,
        arguments=asked.arguments,
        out=out,
        policy=skip(asked.max_skips) if asked.policy == "skip" else policy_of(asked.policy),
        check_parameters=every(asked.check_parameters_every),
        max_rerun_s=asked.max_rerun_minutes * 60,
        experiments=asked.experiments,
        fix_preview=asked.fix_preview,
        capsule=asked.capsule,
        logs=logs_of(asked.logs, out),
    )


def check_script(script: Path) -> None:
    """Refuse a script that is not a file.

    Raises:
        UsageError: naming the file that may have been meant.
    """
    if script.is_dir():
        raise UsageError(f"{script} is a directory; name the script in it, or a module with -m")
    if not script.is_file():
        siblings = [path.name for path in script.parent.glob("*.py")]
        near = difflib.get_close_matches(script.name, siblings, n=1)
        hint = f"did you mean {script.with_name(near[0])}?" if near else "for a module, use -m"
        raise UsageError(f"there is no file {script} in {Path.cwd()}; {hint}")


def check_module(name: str) -> None:
    """Refuse a module that `python -m` would not find, without importing the packages around it.

    Raises:
        UsageError: naming the part that is missing.
    """
    spec = _find(name)
    if spec is None:
        raise UsageError(f"no module {name} in the current directory or on sys.path; for a file, leave out -m")
    if spec.submodule_search_locations is not None and _find_inside(spec, "__main__") is None:
        raise UsageError(f"{name} is a package without a __main__; name the module in it, as in -m {name}.train")


def claim(directory: Path, world: World) -> Path:
    """Make `directory`, or take it when it is there and empty; the ranks of one program share one.

    Returns: its absolute path, because a script may change directory.

    Raises:
        UsageError: it is a file, it holds something already, or it cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        held = sorted(path.name for path in directory.iterdir())
    except FileExistsError as error:
        raise UsageError(f"--out {directory} is a file; name a directory that is new or empty") from error
    except OSError as error:
        raise UsageError(f"--out {directory}: {error.strerror}; choose another directory") from error
    held = [name for name in held if not _is_of_another_rank(name, world)]
    if held:
        raise UsageError(
            f"--out {directory} is not empty (it holds {_listed(held)}); "
            "each run has a directory of its own: choose another, or remove it"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UsageError(f"--out {directory} is not writable; choose another directory")
    return directory.resolve()


def _is_of_another_rank(name: str, world: World) -> bool:
    """Whether a file is the journal of another rank of the same program, which started a moment earlier."""
    return name in {f"journal-rank{rank}.jsonl" for rank in range(world.size) if rank != world.rank}


def _default_directory(asked: Asked) -> Path:
    name = asked.target if asked.as_module else Path(asked.target).stem
    first = DEFAULT_PARENT / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    others = (first.with_name(f"{first.name}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([first], others) if _is_made(path)).resolve()


def _is_made(directory: Path) -> bool:
    """Make it, unless another run has: two that start in the same second never share one."""
    try:
        directory.mkdir(parents=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise UsageError(f"{directory} cannot be made: {error.strerror}; name a directory with --out") from error
    return True


def _find(name: str) -> ModuleSpec | None:
    top, *inner = name.split(".")
    if not all((top, *inner)):
        return None
    # `python -m` looks into the current directory first; editable installs have finders of their own.
    spec = PathFinder.find_spec(top, [str(Path.cwd()), *sys.path]) or importlib.util.find_spec(top)
    for part in inner:
        spec = None if spec is None else _find_inside(spec, part)
    return spec


def _find_inside(package: ModuleSpec, name: str) -> ModuleSpec | None:
    if package.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(f"{package.name}.{name}", package.submodule_search_locations)


def _listed(names: list[str], limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
