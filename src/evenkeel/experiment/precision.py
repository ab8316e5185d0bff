"""The step in a wider format: whether range or rounding of the narrow one is what fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from evenkeel.experiment.change import Change
from evenkeel.step.patching import patched_tree

_HALVES = frozenset({torch.float16, torch.bfloat16})
_WIDENING_METHODS = frozenset({"half", "bfloat16"})  # what asks for a narrow format without naming it
_KEEPING_STATISTICS = frozenset({"batch_norm", "instance_norm"})  # written by the very call that reads them
_LEFT_ALONE = frozenset({"backward", "register_hook", "retain_grad", "register_post_accumulate_grad_hook"})


class InPrecision(Change):
    """Every floating-point operation of forward, and so of backward, computes in `wide`; autocast is off.

    Parameters stay as they are and are widened where they are used, so gradients arrive in their own format.
    Cost: up to twice (four times from half) the memory of the step's activations.
    """

    name = ""
    remedy = ""
    remedy_of_half = "keep this computation out of half precision: autocast(enabled=False) around it, or float32"

    def __init__(self, wide: torch.dtype, name: str, remedy: str) -> None:
        """`name` of the experiment, and the `remedy` that follows when the step is healthy so."""
        self.name = name
        self.remedy = remedy
        self._wide = wide
        self._narrow = _HALVES if wide == torch.float32 else _HALVES | {torch.float32}
        self._widening = _Widening(self._narrow, wide)
        self._autocast = _ClosedAutocast()

    @property
    def changed(self) -> str:
        """Which formats became which."""
        narrow = " and ".join(sorted(str(d).removeprefix("torch.") for d in self._narrow))
        return f"{narrow} computed as {str(self._wide).removeprefix('torch.')}, without autocast"

    @property
    def took_effect(self) -> bool:
        """Whether anything narrow was met, or would have been made."""
        return self._widening.num_widened > 0 or self._autocast.num_closed > 0

    @contextmanager
    def during(self) -> Iterator[None]:
        """Autocast regions that are open already are closed for the time, and new ones do nothing."""
        with ExitStack() as stack:
            stack.enter_context(self._autocast.in_force())
            stack.enter_context(self._widening)
            yield


def in_float32() -> InPrecision:
    """Half precision widened: "does the step fail in float32 too?"."""
    return InPrecision(torch.float32, "step in float32", InPrecision.remedy_of_half)


def in_float64() -> InPrecision:
    """Single precision widened too. A step that is healthy only so needs another formula more than another format."""
    return InPrecision(torch.float64, "step in float64", "")


class _Widening(TorchFunctionMode):
    """Computes with wide copies of narrow tensors wherever the program calls torch with gradients on."""

    def __init__(self, narrow: frozenset[torch.dtype], wide: torch.dtype) -> None:
        super().__init__()
        self._narrow = narrow
        self._wide = wide
        self.num_widened = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Compute with what is wide enough; what writes in place, reads an attribute or a graph is left alone."""
        named = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if _writes_or_reads(name) or not torch.is_grad_enabled():
            return func(*args, **named)
        if name in _WIDENING_METHODS:
            return args[0].to(self._wide)
        copies: list[tuple[Tensor, Tensor]] = []
        widened = partial(self._widened, copies)
        result = func(*tree_map(widened, tuple(args)), **tree_map(widened, named))
        if name in _KEEPING_STATISTICS:
            _write_back([(narrow, wide) for narrow, wide in copies if narrow.ndim == 1 and not narrow.requires_grad])
        return result

    def _widened(self, copies: list[tuple[Tensor, Tensor]], value: Any) -> Any:
        if isinstance(value, torch.dtype):
            return self._wide if value in self._narrow else value
        if isinstance(value, Tensor) and value.dtype in self._narrow:
            self.num_widened += 1
            copies.append((value, value.to(self._wide)))
            return copies[-1][1]
        return value


def _write_back(copies: Sequence[tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for narrow, wide in copies:
            narrow.copy_(wide)


def _writes_or_reads(name: str) -> bool:
    is_in_place = name.endswith("_") and not name.endswith("__")
    is_attribute = name in ("__get__", "__set__", "__setitem__")
    return is_in_place or is_attribute or name in _LEFT_ALONE


class _ClosedAutocast:
    """Keeps autocast off, and lets every region, opened before or meanwhile, leave behind what it found."""

    def __init__(self) -> None:
        self.num_closed = 0
        self._open: list[str] = []

    @contextmanager
    def in_force(self) -> Iterator[None]:
        self._open = [device for device in ("cpu", "cuda") if torch.is_autocast_enabled(device)]
        self.num_closed += len(self._open)
        self._switch(on=False)
        try:
            with (
                patched_tree(torch.amp.autocast_mode.autocast, "__enter__", self._entering),
                patched_tree(torch.amp.autocast_mode.autocast, "__exit__", self._leaving),
            ):
                yield
        finally:
            self._switch(on=True)

    def _switch(self, *, on: bool) -> None:
        for device in self._open:
            torch.set_autocast_enabled(device, on)

    def _entering(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def enter(region: Any) -> Any:
            was_enabled, region._enabled = region._enabled, False
            self.num_closed += bool(was_enabled)
            self._switch(on=True)  # the region notes what it finds, to leave it behind
            try:
                return original(region)
            finally:
                region._enabled = was_enabled
                self._switch(on=False)

        return enter

    def _leaving(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def leave(region: Any, *raised: Any) -> Any:
            try:
                return original(region, *raised)
            finally:
                self._switch(on=False)

        return leave
