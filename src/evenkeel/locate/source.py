"""Which line of the user's own code is running."""

from __future__ import annotations

import functools
import linecache
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Literal, NamedTuple

import torch

from evenkeel.core.place import Place

Owner = Literal["user", "library", "torch", "observer"]

_TORCH = f"{Path(torch.__file__).parent}{os.sep}"
_PUBLIC = tuple(_TORCH + part for part in (f"nn{os.sep}functional.py", "functional.py", f"nn{os.sep}utils{os.sep}"))
_OURS = f"{Path(__file__).resolve().parent.parent}{os.sep}"
_LIBRARIES = tuple(
    os.path.realpath(path) + os.sep for path in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
)
_STDLIB = os.path.realpath(sysconfig.get_path("stdlib")) + os.sep
_PASSING_ON = {"__torch_function__", "__torch_dispatch__"}  # a subclass hands an operation on: the caller wrote it


class Sight(NamedTuple):
    """The running line: its place, the torch function it called, and whether an engine lies in between."""

    place: Place | None
    api: str  # outermost function of torch.nn.functional, torch.functional or torch.nn.utils below the user's line
    in_engine: bool  # the line is the one that called backward()

    @property
    def clips(self) -> bool:
        """Whether gradients are being clipped: that is no longer backward, and part of the update."""
        return self.api.lstrip("_").startswith(("clip_grad", "get_total_norm"))


def running_line(*, only_inside_backward: bool = False) -> Sight:
    """Find the innermost frame of the user; of a library when there is none.

    With `only_inside_backward` the search ends at the engine that runs backward, at once or, in the engine's own
    threads, at the end of the stack: what is found before is a backward or a hook that somebody wrote.
    Cost: a walk up the Python stack, no copies. For replays.
    """
    frame: FrameType | None = sys._getframe(1)
    api, in_engine, library = "", only_inside_backward, None
    while frame is not None:
        code = frame.f_code
        owner = owner_of(code.co_filename)
        if owner == "user" and code.co_name not in _PASSING_ON:
            return Sight(_place(frame), api, in_engine and not only_inside_backward)
        if owner == "torch":
            if code.co_name == "_engine_run_backward":
                in_engine = True
                if only_inside_backward:
                    break
            elif code.co_filename.startswith(_PUBLIC) and not code.co_name.startswith("_"):
                api = code.co_name
        elif owner == "library" and library is None:
            library = frame
        frame = frame.f_back
    return Sight(_place(library) if library else None, api, in_engine)


def variables_of_user() -> dict[str, object]:
    """The local variables of the innermost frame of the user; empty when there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and owner_of(frame.f_code.co_filename) != "user":
        frame = frame.f_back
    return {} if frame is None else dict(frame.f_locals)


def tensors_of_user() -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors in variables of all the user's functions that are running, innermost first: ("train.logits", …)."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if owner_of(frame.f_code.co_filename) == "user":
            held = dict(frame.f_locals)
            scope = frame.f_code.co_name
            yield from ((f"{scope}.{name}", value) for name, value in held.items() if isinstance(value, torch.Tensor))
        frame = frame.f_back


@functools.lru_cache(maxsize=4096)
def owner_of(filename: str) -> Owner:
    """Whose file a code object comes from."""
    if filename.startswith("<"):  # generated code, except what a person typed
        return "user" if filename.startswith(("<stdin", "<ipython")) else "library"
    path = os.path.realpath(filename)
    if path.startswith(_TORCH) or filename.startswith(_TORCH):
        return "torch"
    if path.startswith(_OURS):
        return "observer"
    if path.startswith(_LIBRARIES) or (path.startswith(_STDLIB) and os.sep + "site-packages" + os.sep not in path):
        return "library"
    return "library" if os.sep + "site-packages" + os.sep in path else "user"


def _place(frame: FrameType) -> Place:
    linecache.lazycache(frame.f_code.co_filename, frame.f_globals)  # text that no file holds: of a zip, say
    return _place_in(frame.f_code, frame.f_lineno)


@functools.lru_cache(maxsize=4096)
def _place_in(code: CodeType, line: int) -> Place:
    source = linecache.getline(code.co_filename, line).strip()
    return Place(file=code.co_filename, line=line, scope=code.co_name, source=source)
