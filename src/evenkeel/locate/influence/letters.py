"""Shadows written down as letters, as einsum does: `self ij, mat2 jk -> ik`.

A dimension of an input and one of an output that bear the same letter run together; all others are mixed. `...` are
leading dimensions, matched from the right with broadcasting; `*` are all the other dimensions, and mixed. `=` is an
input that is broadcast to the output, and in place is the output. An input with fewer dimensions than letters has the
last ones. One output after the arrow stands for all; other written arguments are named before it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from evenkeel.locate.influence.shadow import Rule, Shadow, elementwise, everything
from evenkeel.locate.record import Record, Touch


class Pattern(NamedTuple):
    """Letters of the arguments by their names, and of the outputs by their positions."""

    arguments: dict[str, str]
    outputs: tuple[str, ...]

    def of_output(self, name: str) -> str | None:
        """The letters of what was written under a name: an argument, "out" or "out[1]"."""
        stem, bracket, rest = name.partition("[")
        if stem != "out" and self.arguments.get(stem, "=") != "=":
            return self.arguments[stem]
        position = int(rest.rstrip("]")) if bracket else 0
        if len(self.outputs) == 1:
            return self.outputs[0]
        return self.outputs[position] if position < len(self.outputs) else None


def letters(text: str) -> Rule:
    """The rule that a pattern stands for."""
    pattern = parsed(text)

    def rule(record: Record, written: Touch, read: Touch) -> Shadow:
        given, made = pattern.arguments.get(read.name.partition("[")[0]), pattern.of_output(written.name)
        if given == "=":
            return elementwise(record, written, read)
        if given is None or made is None:
            return everything(record, written, read)
        labels, num_leading = _labels(given, len(read.shape), 0, "in")
        wanted, _ = _labels(made, len(written.shape), num_leading, "out")
        if (len(labels), len(wanted)) != (len(read.shape), len(written.shape)):
            return everything(record, written, read)
        return lambda x: projected(x, labels, wanted, written.shape)

    return rule


def projected(x: Tensor, labels: Sequence[str], wanted: Sequence[str], shape: Sequence[int]) -> Tensor:
    """Sum over the dimensions whose label is not wanted, and spread the rest over the shape."""
    dropped = [d for d, label in enumerate(labels) if label not in wanted]
    kept = [label for label in labels if label in wanted]
    summed = x.sum(dropped) if dropped else x
    shared = [label for label in wanted if label in kept]
    ordered = summed.permute([kept.index(label) for label in shared])
    sizes = dict(zip(shared, ordered.shape, strict=True))
    return ordered.reshape([sizes.get(label, 1) for label in wanted]).expand(tuple(shape))


@functools.lru_cache(maxsize=1024)
def parsed(text: str) -> Pattern:
    """Read a pattern."""
    left, _, right = text.partition("->")
    words = [part.split() for part in left.split(",") if part.strip()]
    return Pattern({pair[0]: pair[1] for pair in words}, tuple(part.strip() for part in right.split(",")))


def _labels(pattern: str, num_dims: int, num_leading: int, side: str) -> tuple[list[str], int]:
    """A label for each dimension, and the number of leading ones, which of an output with `*` is that of the input."""
    has_leading, has_rest = pattern.startswith("..."), pattern.endswith("*")
    core = pattern.removeprefix("...").rstrip("*")
    if has_rest:
        num_leading = num_leading if has_leading else 0
    else:
        num_leading = max(num_dims - len(core), 0) if has_leading else 0
        core = core[max(len(core) - num_dims, 0) :]
    leading = [f"...{num_leading - i}" for i in range(num_leading)]
    rest = [f"{side}*{i}" for i in range(num_dims - num_leading - len(core))]
    return [*leading, *core, *rest], num_leading
