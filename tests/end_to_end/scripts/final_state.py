"""Writes every bit that a training script ends with: parameters, buffers, optimizer state, random states."""

import hashlib
import random
import sys
from pathlib import Path

import numpy as np
import torch

# Python and NumPy begin with a seed of the moment, which no two runs share.
random.seed(0)
np.random.seed(0)  # noqa: NPY002  the legacy global state is what many scripts draw from


def save_final_state(*owners):
    """Write one line per value into the file that the script was given as its first argument, if any."""
    if len(sys.argv) > 1:
        states = [owner.state_dict() for owner in owners]
        drawn = (random.getstate(), torch.get_rng_state(), *np.random.get_state())  # noqa: NPY002  the same
        Path(sys.argv[1]).write_text("\n".join(lines("state", [states, drawn])))


def lines(name, value):
    """`name digest` of every tensor and number in nested containers, bits of NaN included."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from lines(f"{name}.{key}", part)
    elif isinstance(value, list | tuple) and len(value) < 100:
        for position, part in enumerate(value):
            yield from lines(f"{name}[{position}]", part)
    else:
        yield f"{name} {digest(value)}"


def digest(value):
    """A fingerprint of the bits."""
    if isinstance(value, torch.Tensor):
        value = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    content = value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
    return hashlib.blake2b(content, digest_size=16).hexdigest()
