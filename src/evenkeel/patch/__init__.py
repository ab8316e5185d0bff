"""The user's own lines, changed as an experiment changed the step; told as a diff.

Loaded on first use: the parser of whole files is needed at an incident only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evenkeel.patch.apply import patched
    from evenkeel.patch.diff import diff_of, root_of
    from evenkeel.patch.files import patched_files
    from evenkeel.patch.refusal import Refusal

__all__ = ["Refusal", "diff_of", "patched", "patched_files", "root_of"]

_HOMES = {"Refusal": "refusal", "diff_of": "diff", "patched": "apply", "patched_files": "files", "root_of": "diff"}


def __getattr__(name: str) -> object:
    """Load a name of this room on first use."""
    if name not in _HOMES:
        message = f"evenkeel.patch has no {name!r}; it has {', '.join(__all__)}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"evenkeel.patch.{_HOMES[name]}"), name)
