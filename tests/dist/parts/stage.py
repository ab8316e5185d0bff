"""What the parts of the tests of this room have in common; a part is played by one process per rank."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist

LONG = timedelta(minutes=30)  # far beyond the limit of a test: whoever waits for the timeout fails

Report = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """One rank, and the directory in which the ranks of a test meet."""

    rank: int
    size: int
    directory: Path

    def note(self, name: str, rank: int | None = None) -> Path:
        """A file of this rank, or of another one."""
        return self.directory / f"{name}{self.rank if rank is None else rank}"


def begin(me: Me, timeout: timedelta = LONG, store: str = "store") -> None:
    """Make the default group, as a script would."""
    where = f"file://{me.directory / store}"
    dist.init_process_group("gloo", init_method=where, rank=me.rank, world_size=me.size, timeout=timeout)


def play(parts: list[Callable[[Me], Report]]) -> None:
    """Play the part named on the command line: `PART RANK SIZE DIRECTORY`."""
    name, rank, size, directory = sys.argv[1:]
    me = Me(rank=int(rank), size=int(size), directory=Path(directory))
    me.note("pid").write_text(str(os.getpid()))
    report = {part.__name__: part for part in parts}[name](me)
    me.note("report").write_text(json.dumps(report))
    if dist.is_initialized():
        dist.destroy_process_group()
