"""Numerical health for PyTorch training: find the first bad number, prove why it is bad, recover honestly.

Names are loaded on first use, so that the parts which need no torch start without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what the names below are, for editors and type checkers
    from evenkeel import metrics as metrics
    from evenkeel import ops as ops
    from evenkeel.core.errors import EvenkeelError, TrainingStopped, UsageError
    from evenkeel.core.incident import Incident
    from evenkeel.core.settings import every, observe, skip, stop
    from evenkeel.guard import Guard, supervise
    from evenkeel.integrations.notebook import load_ipython_extension

PUBLIC = {
    "Guard": "evenkeel.guard",
    "Incident": "evenkeel.core.incident",
    "TrainingStopped": "evenkeel.core.errors",
    "UsageError": "evenkeel.core.errors",
    "EvenkeelError": "evenkeel.core.errors",
    "every": "evenkeel.core.settings",
    "load_ipython_extension": "evenkeel.integrations.notebook",
    "observe": "evenkeel.core.settings",
    "skip": "evenkeel.core.settings",
    "stop": "evenkeel.core.settings",
    "supervise": "evenkeel.guard",
}

PACKAGES = ("metrics", "ops")

__all__ = [
    "EvenkeelError",
    "Guard",
    "Incident",
    "TrainingStopped",
    "UsageError",
    "every",
    "load_ipython_extension",
    "observe",
    "skip",
    "stop",
    "supervise",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load a public name on first use."""
    if name in PACKAGES:
        return importlib.import_module(f"evenkeel.{name}")
    if name not in PUBLIC:
        message = f"evenkeel has no {name!r}; it has {', '.join(sorted([*PUBLIC, *PACKAGES]))}"
        raise AttributeError(message)
    return getattr(importlib.import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted([*PUBLIC, *PACKAGES, "__version__"])
