"""What entered a step from outside, by the memory it lies in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from torch import Tensor

from evenkeel.casefile.scene import Scene
from evenkeel.core.operation import Leaf, LeafKind
from evenkeel.locate.modules import Names
from evenkeel.locate.origin import Located
from evenkeel.locate.record import storage_of
from evenkeel.locate.samples import batch_size
from evenkeel.locate.trace import Trace
from evenkeel.step.updater import Updater, parameters_of
from evenkeel.tensors.measure import describe, is_finite

Known = dict[int, tuple[LeafKind, str]]  # by storage


def known_storages(scene: Scene) -> Known:
    """What lies where: parameters, their old gradients, buffers, what optimizers keep, batches."""
    known: Known = {}
    for parameter in scene.names.parameters():
        if parameter.grad is not None:
            known[storage_of(parameter.grad)] = ("gradient", f"{scene.names.of_tensor(parameter)}.grad")
        known[storage_of(parameter)] = ("parameter", scene.names.of_tensor(parameter) or "parameter")
    for buffer in scene.names.buffers():
        known[storage_of(buffer)] = ("buffer", scene.names.of_tensor(buffer) or "buffer")
    for updater in scene.updaters:
        known.update({storage_of(tensor): ("optimizer", name) for name, tensor in _kept(updater, scene.names)})
    known.update({storage_of(tensor): ("batch", name) for _, name, tensor in _batches(scene)})
    return known


def batch_of_storage(scene: Scene) -> dict[int, int]:
    """For the memory of each tensor of a batch, which of the used batches it belongs to."""
    return {storage_of(tensor): position for position, _, tensor in _batches(scene)}


def num_samples(scene: Scene, trace: Trace, known: Known) -> int | None:
    """The batch size, as the sampler drew it, else by the leading sizes of the batch's tensors.

    Without a loader: the leading size that most forward operations answered with.
    """
    drawn = [len(hand_out.indices) for hand_out in scene.used if hand_out.indices]
    if drawn:
        return max(drawn)
    batches = [tensor for _, _, tensor in _batches(scene)]
    if batches:
        return batch_size(batches)
    made = [w.shape for r in trace.records if r.phase == "forward" for w in r.writes if w.storage not in known]
    sizes = Counter(shape[0] for shape in made if shape and shape[0] > 1)
    return sizes.most_common(1)[0][0] if sizes else None


def bad_parameters(scene: Scene) -> tuple[Leaf, ...]:
    """The parameters that are not finite now. Cost: a read of all of them."""
    named = [(scene.names.of_tensor(p) or "parameter", p) for p in scene.names.parameters()]
    bad = [(name, parameter) for name, parameter in named if not is_finite(parameter)]
    return tuple(Leaf(kind="parameter", name=name, stats=describe(p, name), is_updated=True) for name, p in bad)


def with_owners(located: Located, scene: Scene) -> Located:
    """Say of each parameter that entered whether an optimizer of the loop updates it."""
    if not scene.updaters:
        return located
    updated = {scene.names.of_tensor(p) for updater in scene.updaters for p in parameters_of(updater)}

    def owned(leaf: Leaf) -> Leaf:
        return replace(leaf, is_updated=leaf.name in updated) if leaf.kind == "parameter" else leaf

    origin = located.origin
    if origin is not None and origin.leaf is not None:
        origin = replace(origin, leaf=owned(origin.leaf))
    return replace(located, origin=origin, leaves=tuple(map(owned, located.leaves)))


def _batches(scene: Scene) -> Iterator[tuple[int, str, Tensor]]:
    """Every tensor of the used batches, with its name and the batch's position."""
    several = len(scene.used) > 1
    for position, hand_out in enumerate(scene.used):
        for name, tensor in hand_out.tensors(f"batch {position}" if several else "batch"):
            yield position, name, tensor


def _kept(updater: Updater, names: Names) -> Iterator[tuple[str, Tensor]]:
    """What an optimizer keeps of each parameter from step to step: `AdamW.exp_avg of encoder.weight`."""
    state: dict[Tensor, dict[str, Any]] = getattr(updater, "state", {})
    for parameter, kept in state.items():
        for key, value in kept.items():
            if isinstance(value, Tensor):
                yield f"{type(updater).__name__}.{key} of {names.of_tensor(parameter) or 'a parameter'}", value
