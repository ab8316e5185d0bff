"""What `--log` asks for, checked before the program starts."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from evenkeel.core.errors import UsageError
from evenkeel.core.settings import LogName, LogWish


def logs_of(given: Sequence[str], out: Path) -> tuple[LogWish, ...]:
    """`NAME` or `NAME=PATH` each; without a path it is `out/NAME`.

    Nothing is imported: a healthy run never loads what incidents are written with.

    Raises:
        UsageError: there is no such log, its library is not installed, or its path is a file.
    """
    return tuple(_wish(text, out) for text in given)


def check_logs(given: Sequence[str]) -> None:
    """The same before there is a directory.

    Raises:
        UsageError: as `logs_of`.
    """
    logs_of(given, Path())


def _wish(text: str, out: Path) -> LogWish:
    name, has_path, path = text.partition("=")
    if name not in get_args(LogName):
        raise UsageError(f"--log {text}: there are {', '.join(get_args(LogName))}, each alone or as NAME=PATH")
    if has_path and not path:
        raise UsageError(f"--log {text}: a directory has to follow the =; without one it is DIR/{name}")
    if importlib.util.find_spec(name) is None:
        raise UsageError(f"--log {name} needs {name}: pip install 'evenkeel[loggers]'")
    place = Path(path) if path else out / name
    if place.is_file():
        raise UsageError(f"--log {text}: {place} is a file; name a directory, which may be new")
    return LogWish(cast("LogName", name), place.absolute())
