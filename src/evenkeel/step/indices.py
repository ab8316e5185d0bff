"""Which elements of the data set a batch consists of, as the loader's sampler drew them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from torch.utils.data.dataloader import _BaseDataLoaderIter  # the one place through which every index passes

from evenkeel.step.patching import patched


class DrawnIndices:
    """Remembers what samplers drew until the batch is handed out, which with workers is some batches later.

    Memory: the indices of the batches that are being prefetched. Cost: 2 µs a batch.
    """

    def __init__(self) -> None:
        """Nothing was drawn yet."""
        self._waiting: WeakKeyDictionary[_BaseDataLoaderIter, deque[Sequence[int]]] = WeakKeyDictionary()

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listen to the samplers of this process while the context lasts."""
        with ExitStack() as stack:
            stack.enter_context(patched(_BaseDataLoaderIter, "_next_index", self._hearing))
            stack.enter_context(patched(_BaseDataLoaderIter, "_reset", self._forgetting))
            yield

    def of_next_batch(self, iterator: object) -> Sequence[int]:
        """The indices of the batch that `iterator` hands out now, in the order of its rows.

        Empty where there are none: an iterable data set, batches that may overtake one another (`in_order=False`), an
        iterator that is not a loader's.
        """
        if not isinstance(iterator, _BaseDataLoaderIter):
            return ()
        waiting = self._waiting.get(iterator)
        indices = waiting.popleft() if waiting else ()
        return indices if getattr(iterator, "_in_order", True) else ()

    def _hearing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def _next_index(iterator: _BaseDataLoaderIter) -> Any:
            drawn = original(iterator)
            self._waiting.setdefault(iterator, deque()).append(_plain(drawn))
            return drawn

        return _next_index

    def _forgetting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def _reset(iterator: _BaseDataLoaderIter, *args: Any, **kwargs: Any) -> Any:
            self._waiting.pop(iterator, None)  # a new epoch of persistent workers: what was prefetched is dropped
            return original(iterator, *args, **kwargs)

        return _reset


def _plain(drawn: Any) -> Sequence[int]:
    """A copy, because a sampler may use its list again; empty for keys that are not numbers."""
    several: tuple[Any, ...] = tuple(drawn) if isinstance(drawn, list | tuple) else (drawn,)
    return several if set(map(type, several)) == {int} else ()
