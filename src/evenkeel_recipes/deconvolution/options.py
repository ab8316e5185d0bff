"""The options of a run, kept beside it: what was given, and what was used."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.kit.checkpoint import write_whole
from evenkeel_recipes.kit.files import read_json
from evenkeel_recipes.kit.options import as_mapping, from_mapping
from evenkeel_recipes.kit.refusal import Refused


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line came to, and what the run went by: the same, unless something drops options."""

    given: RunConfig
    used: RunConfig


def write_options(out: Path, options: Options) -> None:
    """Write them."""
    values = {"given": as_mapping(options.given), "used": as_mapping(options.used)}
    write_whole(out / "options.json", json.dumps(values, indent=1).encode())


def read_options(out: Path) -> Options:
    """Read them.

    Raises:
        Refused: `out` is not the directory of a run.
    """
    path = out / "options.json"
    if not path.is_file():
        raise Refused(f"{out} has no options.json: not the directory of a run")
    found = read_json(path)
    return Options(from_mapping(RunConfig, found["given"]), from_mapping(RunConfig, found["used"]))


def dropped(options: Options) -> list[str]:
    """Each option that was given and not used."""
    given, used = as_mapping(options.given), as_mapping(options.used)
    return [f"--{key.replace('_', '-')} {given[key]}, used {used[key]}" for key in given if given[key] != used[key]]
