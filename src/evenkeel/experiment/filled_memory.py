"""The step with NaN in all memory that nobody initialised: whether it reads such memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from evenkeel.experiment.change import Change


class FilledMemory(Change):
    """`torch.empty` and its like give NaN (the largest value for whole numbers) in place of what lies in memory.

    A step that fails now each time, and did not without, reads memory that it never wrote.
    Source: `torch.utils.deterministic.fill_uninitialized_memory`.
    """

    name = "uninitialised memory filled"
    changed = "torch.empty and its like give NaN"

    @contextmanager
    def during(self) -> Iterator[None]:
        """Deterministic algorithms are asked for, for torch fills memory only then; where there is none, it goes on."""
        was_on = torch.are_deterministic_algorithms_enabled()
        warned_only = torch.is_deterministic_algorithms_warn_only_enabled()
        memory: Any = torch.utils.deterministic  # a module that makes its one switch as it is loaded
        filled = memory.fill_uninitialized_memory
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation")
            torch.use_deterministic_algorithms(mode=True, warn_only=True)
            memory.fill_uninitialized_memory = True
            try:
                yield
            finally:
                memory.fill_uninitialized_memory = filled
                torch.use_deterministic_algorithms(mode=was_on, warn_only=warned_only)
