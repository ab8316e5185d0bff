"""Frameworks' loaders that fetch batches ahead of the loop: what they hand on is the step's batch, not what they fetch.

Accelerate's loaders, which Transformers trains with too, and Lightning's fetcher (for a loader without a length) take
one batch more than the loop has, to know the last one when it comes. Heard at the inner loader, a step would seem to
have consumed the batch of the next one.

Another such loader: one line in `RELAYS`.
Source: accelerate.data_loader.DataLoaderShard.__iter__, lightning.pytorch.loops.fetchers._PrefetchDataFetcher.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, Literal
from weakref import WeakKeyDictionary

from evenkeel.step.imports import when_imported
from evenkeel.step.listener import StepListener
from evenkeel.step.patching import Wrap, patched

Waiting = deque[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Relay:
    """A class that stands between a loader and the loop."""

    module: str
    name: str
    hands_out: Literal["in its generator", "in __next__"]
    keeps_batches: bool = True  # each batch that it fetches is one that it hands on


RELAYS = (
    Relay("accelerate.data_loader", "DataLoaderShard", "in its generator"),
    Relay("accelerate.data_loader", "DataLoaderDispatcher", "in its generator", keeps_batches=False),
    Relay("lightning.pytorch.loops.fetchers", "_PrefetchDataFetcher", "in __next__"),
    Relay("pytorch_lightning.loops.fetchers", "_PrefetchDataFetcher", "in __next__"),
)


class Relays:
    """Tells a listener of the batches that relays hand on, and keeps what they fetch from being told.

    A relay is patched when the program imports its module: nothing is imported for its sake.
    Cost: three Python calls a batch.
    """

    def __init__(self, listener: StepListener) -> None:
        """Nothing is patched yet."""
        self._listener = listener
        self._stack = ExitStack()
        self._fetching: list[Waiting] = []  # for each relay that is at work now, the innermost last
        self._waiting: WeakKeyDictionary[object, Waiting] = WeakKeyDictionary()

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listen while the context lasts."""
        with self._stack:
            for relay in RELAYS:
                self._stack.enter_context(when_imported(relay.module, partial(self._meet, relay)))
            yield

    @property
    def are_fetching(self) -> bool:
        """Whether the batch that an inner loader is asked for is for a relay."""
        return bool(self._fetching)

    def fetched(self, indices: Sequence[int]) -> None:
        """The relay that is at work got a batch of these elements, which it will hand on."""
        self._fetching[-1].append(indices)

    def _meet(self, relay: Relay, module: ModuleType) -> None:
        owner = getattr(module, relay.name, None)
        if owner is None:  # another version, which has another way
            return
        if relay.hands_out == "in its generator":
            self._stack.enter_context(patched(owner, "__iter__", self._generating(relay)))
        else:
            self._stack.enter_context(patched(owner, "__iter__", self._beginning))
            self._stack.enter_context(patched(owner, "__next__", self._handing_out))

    def _generating(self, relay: Relay) -> Wrap:
        def wrap(original: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
            def __iter__(loader: Any) -> Iterator[Any]:  # noqa: N807  the same
                source, waiting, iterator = ("relay", id(loader)), Waiting(), original(loader)
                num_left_out = getattr(loader, "skip_batches", 0)
                while True:
                    again = self._listener.batch_again(source)
                    if again is not None:
                        yield again[0]
                        continue
                    with self._at_work(waiting):
                        batch = next(iterator, _END)
                    if batch is _END:
                        return
                    while num_left_out and waiting:
                        waiting.popleft()
                        num_left_out -= 1
                    indices = waiting.popleft() if waiting and relay.keeps_batches else ()
                    self._listener.batch_handed_out(source, batch, indices)
                    yield batch

            return __iter__

        return wrap

    def _beginning(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def __iter__(fetcher: Any) -> Any:  # noqa: N807  the same
            self._waiting[fetcher] = waiting = Waiting()
            with self._at_work(waiting):
                return original(fetcher)

        return __iter__

    def _handing_out(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def __next__(fetcher: Any) -> Any:  # noqa: N807  the same
            if fetcher.length is not None:  # then it fetches nothing ahead, and the loader itself is heard
                return original(fetcher)
            source = ("relay", id(fetcher))
            again = self._listener.batch_again(source)
            if again is not None:
                return again[0]
            waiting = self._waiting.setdefault(fetcher, Waiting())
            with self._at_work(waiting):
                batch = original(fetcher)
            self._listener.batch_handed_out(source, batch, waiting.popleft() if waiting else ())
            return batch

        return __next__

    @contextmanager
    def _at_work(self, waiting: Waiting) -> Iterator[None]:
        self._fetching.append(waiting)
        try:
            yield
        finally:
            self._fetching.pop()


_END = object()
