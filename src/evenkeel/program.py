"""Run somebody's script or module as `__main__`, as if evenkeel were not there."""

from __future__ import annotations

import builtins
import os
import runpy
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path

ExceptHook = Callable[[type[BaseException], BaseException, types.TracebackType | None], object]

_RUNPY = ("<frozen runpy>", runpy.__file__)
_OURS = f"{Path(__file__).parent}{os.sep}"


def run_as_main(
    target: str, arguments: Sequence[str], *, as_module: bool, read: Callable[[Path], bytes] = Path.read_bytes
) -> None:
    """Execute a script's path or a module's name with `sys.argv` and `sys.path` as Python itself would set them.

    `read` gives a script's text; modules are found as Python finds them.

    Raises whatever the program raises, SystemExit included.
    """
    if as_module:
        _begin_path_with(str(Path.cwd()))
        sys.argv = [target, *arguments]
        runpy.run_module(target, run_name="__main__", alter_sys=True)
        return
    path = Path(target).absolute()  # as Python does, so that a script may change directory
    _begin_path_with(str(path.resolve().parent))
    sys.argv = [target, *arguments]
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=str(path), __builtins__=builtins, __spec__=None, __cached__=None)
    sys.modules["__main__"] = main
    code = compile(read(path), str(path), "exec", dont_inherit=True)
    exec(code, main.__dict__)  # noqa: S102  running the user's program is the purpose


def _begin_path_with(directory: str) -> None:
    """Put the program's directory where Python put ours; with -P or -I it put none."""
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        sys.path[0] = directory


def exit_status(stop: SystemExit) -> int:
    """The process status that Python would give for a SystemExit; a text goes to stderr, as Python does."""
    if stop.code is None:
        return 0
    if isinstance(stop.code, int):
        return stop.code
    print(stop.code, file=sys.stderr)  # noqa: T201  this is what the interpreter prints
    return 1


def without_our_frames(hook: ExceptHook) -> ExceptHook:
    """An excepthook that shows the program's own traceback and leaves out the frames of evenkeel."""

    def show(kind: type[BaseException], error: BaseException, traceback: types.TracebackType | None) -> None:
        own = _without_ours(traceback)
        for earlier in _chained(error):
            earlier.__traceback__ = _without_ours(earlier.__traceback__)
        hook(kind, error.with_traceback(own), own)

    return show


def _chained(error: BaseException) -> list[BaseException]:
    """The causes and contexts of an error, each once."""
    found: list[BaseException] = []
    waiting = [error.__cause__, error.__context__]
    while waiting:
        earlier = waiting.pop()
        if earlier is not None and earlier not in found:
            found.append(earlier)
            waiting += [earlier.__cause__, earlier.__context__]
    return found


def _without_ours(traceback: types.TracebackType | None) -> types.TracebackType | None:
    """Drop the frames that lead to the program, and ours wherever they stand in between."""
    entries = []
    while traceback is not None:
        entries.append(traceback)
        traceback = traceback.tb_next
    ours = [entry.tb_frame.f_code.co_filename.startswith(_OURS) for entry in entries]
    begin = max((i for i, mine in enumerate(ours) if mine and _runs_program(entries[i])), default=-1) + 1
    kept: types.TracebackType | None = None
    for entry, mine in reversed([*zip(entries, ours, strict=True)][begin:]):
        if not mine and entry.tb_frame.f_code.co_filename not in _RUNPY:
            kept = types.TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept


def _runs_program(entry: types.TracebackType) -> bool:
    return entry.tb_frame.f_code is run_as_main.__code__
