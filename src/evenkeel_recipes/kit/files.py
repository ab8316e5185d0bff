"""Files that a program wrote and somebody may have changed: read, or refused with a sentence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenkeel_recipes.kit.refusal import Refused


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        Refused: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise Refused(f"there is no file {path}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Refused(f"{path} is damaged, or no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Refused(f"{path} holds a {type(found).__name__}, not an object")
    return found


def read_array(path: Path) -> NDArray[Any]:
    """The array in a .npy file; nothing in it is executed.

    Raises:
        Refused: there is no such file, it is damaged, or it holds Python objects.
    """
    if not path.is_file():
        raise Refused(f"there is no file {path}")
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise Refused(f"{path} is no array of numbers or names (.npy), or damaged: {error}") from error


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()
