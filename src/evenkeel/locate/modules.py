"""Names of parameters and buffers, and the module that is running."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.swa_utils import AveragedModel

from evenkeel.step.living import living


def living_roots() -> tuple[nn.Module, ...]:
    """Every module alive in this process that is not part of another one.

    Cost: one pass over the objects that Python's collector tracks; asked once, and again when a model was rebuilt.
    """
    modules = living(nn.Module)
    parts = {id(child) for module in modules for child in vars(module).get("_modules", {}).values()}
    return tuple(m for m in modules if id(m) not in parts)


class Names:
    """What tensors and modules are called, under one or several root modules."""

    def __init__(self, roots: Iterable[nn.Module]) -> None:
        """Walk the modules once. With several roots each name begins with the class of its root, numbered if shared."""
        self._roots = tuple(roots)
        self._tensors: dict[int, str] = {}
        self._modules: dict[int, str] = {}
        for root, prefix in zip(self._roots, _prefixes(self._roots), strict=True):
            for name, tensor in [*root.named_parameters(), *root.named_buffers()]:
                self._tensors.setdefault(id(tensor), prefix + name)
            for name, module in root.named_modules():
                self._modules.setdefault(id(module), prefix + name if name else type(module).__name__)

    def of_tensor(self, tensor: Tensor) -> str | None:
        """The dotted name of a parameter or buffer."""
        return self._tensors.get(id(tensor))

    def of_module(self, module: nn.Module) -> str:
        """The dotted path of a module; its class's name for a root or one that is not known."""
        return self._modules.get(id(module), type(module).__name__)

    def buffers(self) -> Iterator[Tensor]:
        """Every buffer once, without those of averaged models: these move between steps."""
        seen: set[int] = set()
        for root in self._roots:
            if isinstance(root, AveragedModel):
                continue
            for buffer in root.buffers():
                if id(buffer) not in seen and buffer.layout == torch.strided:
                    seen.add(id(buffer))
                    yield buffer

    def parameters(self) -> Iterator[Tensor]:
        """Every parameter of every root."""
        for root in self._roots:
            yield from root.parameters()


def _prefixes(roots: Sequence[nn.Module]) -> Iterator[str]:
    classes = [type(root).__name__ for root in roots]
    for position, name in enumerate(classes):
        number = f"[{classes[:position].count(name)}]" if classes.count(name) > 1 else ""
        yield f"{name}{number}." if len(classes) > 1 else ""


class RunningModule:
    """Which module is inside its forward right now."""

    def __init__(self, names: Names) -> None:
        """Begin outside of all modules."""
        self._names = names
        self._stack: list[nn.Module] = []

    def path(self) -> str:
        """The innermost running module's path; "" outside of all."""
        return self._names.of_module(self._stack[-1]) if self._stack else ""

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow every module's forward while the context lasts."""

        def enter(module: nn.Module, _args: object) -> None:
            self._stack.append(module)

        def leave(module: nn.Module, _args: object, _output: object) -> None:
            if self._stack and self._stack[-1] is module:  # else its forward began before the following did
                self._stack.pop()

        handles = [
            register_module_forward_pre_hook(enter),
            register_module_forward_hook(leave, always_call=True),
        ]
        try:
            yield
        finally:
            self._stack.clear()
            for handle in handles:
                handle.remove()
