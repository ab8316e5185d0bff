"""Writes what the training of one rank came to: its parameters after each update, and every bit at the end."""

import os
import random
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from final_state import digest, lines  # beside the scripts of one process
from torch.utils._pytree import tree_map

RANK = os.environ["RANK"]


@contextmanager
def ending(*owners):
    """At the end, also when the training is stopped, write one line per value into the directory given, if any.

    The first owner is the model, whose parameters are noted once more.
    """
    try:
        yield
    finally:
        updated(owners[0])
        if len(sys.argv) > 1:
            states = [tree_map(own_part, owner.state_dict()) for owner in owners]
            drawn = (random.getstate(), torch.get_rng_state())
            (Path(sys.argv[1]) / f"state{RANK}").write_text("\n".join(lines("state", [states, drawn])))
    # A process whose Python goes down while a thread of gloo lets go of its last collective is aborted by it.
    time.sleep(0.2)


def updated(model):
    """Append one line: this rank's parameters as they are now."""
    if len(sys.argv) > 1:
        parameters = [digest(own_part(p)) for p in model.parameters()]
        with (Path(sys.argv[1]) / f"updates{RANK}").open("a") as file:
            file.write(f"{digest(parameters)}\n")


def own_part(value):
    """What a rank itself holds of a DTensor; anything else is itself."""
    return value.to_local() if hasattr(value, "to_local") else value
