"""The step with parameters that cannot be begun with drawn anew: whether initialising them is all that lacks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from evenkeel.experiment.change import Change
from evenkeel.step.living import living
from evenkeel.tensors.measure import is_finite

_DIRECTIONS = ("weight_v", "parametrizations.weight.original1")  # of torch's two forms of weight_norm


@dataclass(frozen=True, slots=True)
class Initialised(Change):
    """Parameters that are not finite before the first step, or directions of length 0, get small random values.

    A direction is what `weight_norm` divides by its own length.
    """

    names: tuple[str, ...]
    parameters: tuple[Tensor, ...]

    name = "parameters initialised"

    @classmethod
    def of(cls, named: Sequence[tuple[str, Tensor]]) -> Initialised | None:
        """For those among them that no step can begin with; None where there is none."""
        bad = [(name, p) for name, p in named if not is_finite(p) or _is_direction_of_nothing(name, p)]
        return cls(tuple(name for name, _ in bad), tuple(p for _, p in bad)) if bad else None

    @property
    def changed(self) -> str:
        """Which, and how."""
        shown = ", ".join(self.names[:4]) + (f" and {len(self.names) - 4:,} more" if len(self.names) > 4 else "")  # noqa: PLR2004
        return f"{shown} drawn from ±1/sqrt(fan in)"

    @property
    def remedy(self) -> str:
        """What the constructor lacks."""
        what = ", ".join(self.names[:4])
        if all(name.endswith(_DIRECTIONS) for name in self.names):
            return f"initialise the direction {what} with something else than 0, and put the zero into its length"
        return f"initialise {what} explicitly where it is made (torch.nn.init)"

    @contextmanager
    def during(self) -> Iterator[None]:
        """The values of before are put back; the draw has a generator of its own."""
        before = [p.detach().clone() for p in self.parameters]
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for p in self.parameters:
                bound = 1 / math.sqrt(max(p[0].numel(), 1)) if p.dim() else 1.0
                p.copy_(torch.empty(p.shape).uniform_(-bound, bound, generator=generator))
        try:
            yield
        finally:
            with torch.no_grad():
                for p, values in zip(self.parameters, before, strict=True):
                    p.copy_(values)


def _is_direction_of_nothing(name: str, parameter: Tensor) -> bool:
    return name.endswith(_DIRECTIONS) and not bool(parameter.detach().flatten(1).any(dim=1).all())


class InitialisedAtStart(Change):
    """The same for a run from the start: the parameters are looked for when the first module is called."""

    name = Initialised.name

    def __init__(self) -> None:
        """None is known yet."""
        self._found: Initialised | None = None

    @property
    def took_effect(self) -> bool:
        """Whether there was one."""
        return self._found is not None

    @property
    def changed(self) -> str:
        """Which, and how."""
        return "" if self._found is None else self._found.changed

    @property
    def remedy(self) -> str:
        """What the constructor lacks."""
        return "" if self._found is None else self._found.remedy

    @contextmanager
    def during(self) -> Iterator[None]:
        """From the first call of a module on; at the end the values of before are put back."""
        with ExitStack() as stack:

            def begin(_module: nn.Module, _args: object) -> None:
                handle.remove()
                self._found = Initialised.of(_living_parameters())
                if self._found is not None:
                    stack.enter_context(self._found.during())

            handle = register_module_forward_pre_hook(begin)
            stack.callback(handle.remove)
            yield


def _living_parameters() -> list[tuple[str, Tensor]]:
    """Of every model, under its dotted name there."""
    modules = living(nn.Module)
    parts = {id(child) for module in modules for child in module.children()}
    return [named for module in modules if id(module) not in parts for named in module.named_parameters()]
