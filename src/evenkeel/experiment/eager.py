"""The step without compilation: whether the failure is one of the compiled form."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from evenkeel.experiment.change import Change


class Eager(Change):
    """Regions under `torch.compile` run as they are written."""

    name = "eager"
    changed = "regions under torch.compile run without compilation"
    remedy = "leave torch.compile off for this region until the compiled form is mended, and report it to PyTorch"

    def during(self) -> AbstractContextManager[object]:
        """The stance lasts for the step."""
        stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
        return stance
