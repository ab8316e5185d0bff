"""Sufficient statistics: what is kept of the data, and how two of them become one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError
from evenkeel.metrics.score import Score
from evenkeel.tensors.wide import Wide

S = TypeVar("S", bound="Statistics")


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Samples that are kept as they are, because no smaller statistics would do: float64, [any number, width].

    Merging puts them one after the other. What is computed from them must not depend on their order: `in_order` gives
    one order whatever came first.
    """

    width: int
    pieces: tuple[Tensor, ...] = ()

    @classmethod
    def of(cls, values: Tensor) -> Rows:
        """Keep the rows of a matrix [n, width]."""
        return cls(values.shape[1], (values.detach().to(torch.float64),))

    def together(self) -> Tensor:
        """All rows, [n, width], in the order they came."""
        return torch.cat(self.pieces) if self.pieces else torch.zeros(0, self.width, dtype=torch.float64)

    def in_order(self) -> Tensor:
        """All rows on the CPU, sorted by their bytes: the same tensor for any division and order of the samples."""
        rows = self.together().cpu().contiguous()
        if rows.numel() == 0:
            return rows
        keys = rows.numpy().view(f"V{8 * self.width}").ravel()
        return rows[torch.from_numpy(keys.argsort())]


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What all metrics here have in common, and the way to put several together.

    A subclass is a frozen dataclass whose fields are sums (`Wide`), kept samples (`Rows`), other statistics, tuples of
    these, or settings. Two merge field by field: sums are added, samples follow one another, settings have to be equal.
    So merging is associative and commutative up to 2^-104, and a class of one's own holds an epoch:

        @dataclass(frozen=True, slots=True, eq=False)
        class Validation(Statistics):
            spikes: PoissonFit
            loss: MaskedMean

        whole = reduced(whole.merge(Validation(...)))    # one collective for all of them

    Subclasses have `of(...)`, the statistics of one batch, `empty(...)`, those of no data, and closed forms that give a
    `Score` or `Scores`.
    """

    def merge(self: S, other: S) -> S:  # noqa: PYI019  # Self came with Python 3.11
        """The statistics of both parts together. Neither is changed.

        Raises:
            UsageError: different classes, sizes or settings.

        Cost: one wide addition over all sums; no sync.
        """
        mine, others = layout(self), layout(other)
        if mine != others:
            raise UsageError(f"statistics of different kinds do not merge: {mine} and {others}")
        left, right = list(leaves(self)), list(leaves(other))
        sums = added(
            [leaf for leaf in left if isinstance(leaf, Wide)], [leaf for leaf in right if isinstance(leaf, Wide)]
        )
        pairs = zip(left, right, strict=True)
        rows = (Rows(a.width, a.pieces + b.pieces) for a, b in pairs if isinstance(a, Rows) and isinstance(b, Rows))
        return rebuilt(self, sums, rows)

    def __add__(self: S, other: S) -> S:  # noqa: PYI019  # the same
        return self.merge(other)


class Scored(Protocol):
    """Statistics of one metric: those with a headline."""

    def score(self) -> Score:
        """The value that stands for the whole; see the class for which one that is."""
        ...


def added(left: list[Wide], right: list[Wide]) -> Iterator[Wide]:
    """Add pairs of wide numbers in one go."""
    if not left:
        return iter(())
    return split(Wide.joined(left) + Wide.joined(right), [part.shape for part in left])


def split(joined: Wide, shapes: list[torch.Size]) -> Iterator[Wide]:
    """Cut what `Wide.joined` put together."""
    start = 0
    for shape in shapes:
        yield joined[start : start + shape.numel()].reshape(shape)
        start += shape.numel()


def leaves(part: object) -> Iterator[Wide | Rows]:
    """Sums and kept samples, in the order of the fields."""
    if isinstance(part, Wide | Rows):
        yield part
    elif isinstance(part, Statistics):
        for field in fields(part):
            yield from leaves(getattr(part, field.name))
    elif isinstance(part, tuple):
        for inner in part:
            yield from leaves(inner)


def layout(part: object) -> str:
    """Classes, sizes and settings in words: two that merge have the same."""
    if isinstance(part, Wide):
        return f"sums{list(part.shape)}"
    if isinstance(part, Rows):
        return f"rows[{part.width}]"
    if isinstance(part, Statistics):
        inner = (f"{field.name}={layout(getattr(part, field.name))}" for field in fields(part))
        return f"{type(part).__name__}({', '.join(inner)})"
    if isinstance(part, tuple):
        return f"({', '.join(map(layout, part))})"
    if isinstance(part, Tensor):
        raise UsageError("a tensor among statistics says not how it merges; make it a Wide, a Rows, or a plain setting")
    return repr(part)


def rebuilt(part: S, sums: Iterator[Wide], rows: Iterator[Rows]) -> S:
    """The same statistics around other leaves."""
    whole: S = _rebuilt(part, sums, rows)
    return whole


def _rebuilt(part: Any, sums: Iterator[Wide], rows: Iterator[Rows]) -> Any:  # noqa: ANN401  # any kind of field
    if isinstance(part, Wide):
        return next(sums)
    if isinstance(part, Rows):
        return next(rows)
    if isinstance(part, Statistics):
        return type(part)(**{field.name: _rebuilt(getattr(part, field.name), sums, rows) for field in fields(part)})
    if isinstance(part, tuple):
        return tuple(_rebuilt(inner, sums, rows) for inner in part)
    return part
