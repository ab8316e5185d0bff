"""Edits of several files of the user's."""

from __future__ import annotations

import os
import site
import sysconfig
import tokenize
from collections.abc import Sequence
from pathlib import Path

from evenkeel.core.edit import Edit
from evenkeel.core.patch import PatchedFile
from evenkeel.patch.apply import patched
from evenkeel.patch.refusal import Refusal, Refused

_PACKAGES = {"site-packages", "dist-packages"}
_OURS = Path(__file__).resolve().parents[1]


def patched_files(edits: Sequence[Edit]) -> tuple[PatchedFile, ...] | Refusal:
    """Every file that the edits are about, with its text before and after; nothing is written.

    Returns: the files, or why there are none: as `patched`, or where a file is not the user's own, cannot be read, or
    is not in UTF-8.
    """
    done = []
    for file in dict.fromkeys(edit.span.file for edit in edits):
        try:
            before = own_text(Path(file))
        except Refused as refused:
            return refused.refusal
        strangers = [hole for edit in edits if edit.span.file == file for hole in edit.holes if hole.span.file != file]
        if strangers:
            return Refusal(f"an operand stands in another file, {strangers[0].span.file}")
        after = patched(before, [edit for edit in edits if edit.span.file == file])
        if isinstance(after, Refusal):
            return Refusal(f"{Path(file).name}: {after.why}")
        done.append(PatchedFile(file=file, before=before, after=after.text, rewrites=after.rewrites))
    return tuple(done)


def own_text(path: Path) -> str:
    """The text of a file of the user's, with its line ends.

    Raises:
        Refused: it belongs to Python, to an installed package or to evenkeel, cannot be read, or is not in UTF-8.
    """
    if not path.is_file():
        raise Refused(f"{path} is no file")
    if _is_installed(path.resolve()):
        raise Refused(f"{path} is not part of your program")
    try:
        with path.open("rb") as file:
            encoding, _ = tokenize.detect_encoding(file.readline)
        if encoding != "utf-8":
            raise Refused(f"{path} is in {encoding}, and patches are in UTF-8")
        return path.read_bytes().decode()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise Refused(f"{path} cannot be read: {error}") from error


def _is_installed(path: Path) -> bool:
    kept_in = ("stdlib", "platstdlib", "purelib", "platlib")
    places = [*map(sysconfig.get_path, kept_in), site.getusersitepackages(), str(_OURS)]
    return not _PACKAGES.isdisjoint(path.parts) or any(path.is_relative_to(os.path.realpath(p)) for p in places)
