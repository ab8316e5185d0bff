"""What belongs to a training loop, under names that another run of the same program gives it too."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from evenkeel.step.listener import Schedule
from evenkeel.step.living import living
from evenkeel.step.updater import Updater, parameters_of

Roots = Sequence[nn.Module]
Layout = Counter[tuple[str, str, str]]  # class of the root, name in it, dtype and shape; "" where that is not known yet


class FirstLook:
    """Finds the models to watch, and remembers what all models were made of when it was asked first."""

    def __init__(self, find_roots: Callable[[], Roots], find_all: Callable[[], Roots]) -> None:
        """`find_roots` tells which models are watched; `find_all` which there are."""
        self._find_roots = find_roots
        self._find_all = find_all
        self._layout: Layout | None = None

    def __call__(self) -> Roots:
        """The watched models of now."""
        if self._layout is None:
            self._layout = layout_of(self._find_all())
        return self._find_roots()

    def everything(self) -> Roots:
        """All models of now. What is no longer used is gone; another run need not have kept it."""
        gc.collect()
        return self._find_all()

    def is_still_true(self) -> bool:
        """Whether all models of now were there then, of the same shapes; what was lazy then may have any."""
        return self._holds(self._find_all()) or self._holds(self.everything())

    def _holds(self, roots: Roots) -> bool:
        then, now = self._layout or Counter(), layout_of(roots)
        lazy = {entry[:2] for entry in then if not entry[2]}
        return all(count <= then[entry] or entry[:2] in lazy for entry, count in now.items())


def layout_of(roots: Roots) -> Layout:
    """Every parameter and buffer of every model, in no order."""
    return Counter(
        (type(root).__name__, name, "" if is_lazy(tensor) else f"{tensor.dtype} {tuple(tensor.shape)}")
        for root in roots
        for name, tensor in _tensors_of(root)
    )


def tensors_by_name(roots: Roots, updaters: Sequence[Updater]) -> dict[str, Tensor]:
    """Parameters and buffers of all models as `Class[n].name`, and what else the updaters update.

    Python's collector lists objects in an order that another run need not share; so models come in the order in which
    the updaters have their parameters. Those that none updates keep the collector's.
    """
    places = {id(p): n for n, p in enumerate(p for updater in updaters for p in parameters_of(updater))}

    def first_place(root: nn.Module) -> int:
        return min((places.get(id(p), len(places)) for p in root.parameters()), default=len(places))

    found: dict[str, Tensor] = {}
    known: set[int] = set()
    count: Counter[str] = Counter()
    for root in sorted(roots, key=first_place):
        prefix = f"{type(root).__name__}[{count[type(root).__name__]}]"
        tensors = [(name, tensor) for name, tensor in _tensors_of(root) if id(tensor) not in known]
        count[type(root).__name__] += bool(tensors)
        known.update(id(tensor) for _, tensor in tensors)
        found.update((f"{prefix}.{name}", tensor) for name, tensor in tensors)
    for n, updater in enumerate(updaters):
        for place, parameter in enumerate(parameters_of(updater)):
            if id(parameter) not in known:
                known.add(id(parameter))
                found[f"updater[{n}].params[{place}]"] = parameter
    return found


def names_in_capsules(tensors: Mapping[str, Tensor], name_of: Callable[[Tensor], str]) -> dict[str, str]:
    """For each name that the loop gives a tensor, the one of `tensors_by_name`."""
    return {name_of(tensor): name for name, tensor in tensors.items()}


def schedules_of(updaters: Sequence[Updater]) -> tuple[Schedule, ...]:
    """The schedules of learning rates of these updaters, by updater and class. Cost: a pass over all objects."""
    places = {id(updater): n for n, updater in enumerate(updaters)}
    found = [schedule for schedule in living(Schedule) if id(getattr(schedule, "optimizer", None)) in places]
    return tuple(sorted(found, key=lambda s: (places[id(s.optimizer)], type(s).__name__)))


def _tensors_of(root: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from root.named_parameters()
    yield from root.named_buffers()
