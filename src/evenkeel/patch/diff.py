"""Patched files as a unified diff, for `patch -p1` and `git apply`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from evenkeel.core.patch import PatchedFile

_NO_END = "\n\\ No newline at end of file\n"


def diff_of(files: Sequence[PatchedFile], directory: Path) -> str:
    """The changes of all files, with paths relative to `root_of(files, directory)`."""
    root = root_of(files, directory)
    return "".join(line for file in files for line in _lines(file, root))


def root_of(files: Sequence[PatchedFile], directory: Path) -> Path:
    """Where the diff applies: `directory`, or what is above all the files when one lies outside of it."""
    paths = [Path(os.path.realpath(file.file)) for file in files]
    root = directory.resolve()
    if all(path.is_relative_to(root) for path in paths):
        return root
    return Path(os.path.commonpath([path.parent for path in paths]))


def _lines(file: PatchedFile, root: Path) -> Iterator[str]:
    name = Path(os.path.realpath(file.file)).relative_to(root).as_posix()
    end = "\t" if " " in name else ""  # by which patch knows where the name ends
    told = difflib.unified_diff(
        _split(file.before), _split(file.after), f"a/{name}{end}", f"b/{name}{end}", lineterm="\n"
    )
    for line in told:
        yield line if line.endswith("\n") else line + _NO_END


def _split(text: str) -> list[str]:
    """Lines as patch counts them: only a line feed ends one."""
    *ended, last = text.split("\n")
    return [f"{line}\n" for line in ended] + ([last] if last else [])
