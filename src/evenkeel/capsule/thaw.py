"""A capsule read back, every part checked before any of it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from evenkeel.capsule.formats import read_tensors
from evenkeel.capsule.likeness import fits
from evenkeel.capsule.manifest import Manifest, parsed
from evenkeel.capsule.random_states import state_of
from evenkeel.capsule.refused import CapsuleRefused
from evenkeel.capsule.store import CASE, TREES, read_capsule
from evenkeel.capsule.trees import Plain
from evenkeel.capsule.unpacking import Unpacking
from evenkeel.step.snapshot import RandomState


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """A batch that the step consumed."""

    source: int  # the n-th of the loaders that it took batches from
    node: Plain
    unpacking: Unpacking
    random: RandomState  # when it was handed out

    def fits(self, like: object) -> bool:
        """Whether a living batch may come from the same loader."""
        return fits(self.node, like)

    def as_in(self, like: object) -> object:
        """The batch in containers of the living one's classes, tensors on its devices."""
        return self.unpacking.unpack(self.node, like)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpdater:
    """What an optimizer knows."""

    kind: str
    num_parameters: int
    groups: tuple[dict[str, Any], ...]  # settings, without parameters
    state: tuple[tuple[int, dict[Any, Any]], ...]  # by the place of the parameter
    other: dict[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSchedule:
    """Where a schedule of learning rates stands."""

    kind: str
    updater: int  # -1: that of none in the capsule
    state: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capsule:
    """A failing step, read from the disk."""

    manifest: Manifest
    incident: str  # the text of its case.json
    batches: tuple[StoredBatch, ...]
    model: Mapping[str, Tensor]
    random: RandomState
    random_at_start: RandomState | None
    updaters: tuple[StoredUpdater, ...]
    schedules: tuple[StoredSchedule, ...]
    scaler: dict[str, Any] | None


def thaw(path: Path) -> Capsule:
    """Read a capsule: a directory or a zip file.

    It makes plain values and tensors only; no code of the capsule's choosing runs.

    Raises:
        CapsuleRefused: see `store.read_capsule`; or its parts contradict one another.
    """
    manifest, contents = read_capsule(path)
    trees = parsed(contents[TREES].decode(), TREES)
    try:
        return _capsule(manifest, contents, trees)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CapsuleRefused(f"{TREES} lacks what a capsule has, or has it in another form: {error!r}") from error


def _capsule(manifest: Manifest, contents: Mapping[str, bytes], trees: Any) -> Capsule:  # noqa: ANN401  a JSON value
    unpackings = {part: _unpacking(part, contents) for part in ("batches", "model", "optimizer", "random")}
    random = unpackings["random"].unpack(trees["random"])
    movers = unpackings["optimizer"].unpack(trees["optimizer"])
    model = unpackings["model"].unpack(trees["model"])
    start = random["start"]
    return Capsule(
        manifest=manifest,
        incident=contents[CASE].decode(),
        batches=_batches(trees["batches"], unpackings["batches"], random["batches"]),
        model={_word(name): tensor for name, tensor in model.items() if isinstance(tensor, Tensor)},
        random=state_of(random["step"], "the state of the step"),
        random_at_start=None if start is None else state_of(start, "the state of the start"),
        updaters=tuple(map(_updater, movers["updaters"])),
        schedules=tuple(map(_schedule, movers["schedules"])),
        scaler=None if movers["scaler"] is None else _settings(movers["scaler"]),
    )


def _unpacking(part: str, contents: Mapping[str, bytes]) -> Unpacking:
    name = f"{part}.safetensors"
    return Unpacking(read_tensors(contents[name], name), name)


def _batches(nodes: Plain, unpacking: Unpacking, random: list[object]) -> tuple[StoredBatch, ...]:
    """Each is unpacked once, so that what is wrong with it is told now and not in the middle of a training."""
    batches = []
    for number, (source, node) in enumerate(nodes):
        unpacking.unpack(node)
        state = state_of(random[number], f"the state of batch {number}")
        batches.append(StoredBatch(source=_count(source), node=node, unpacking=unpacking, random=state))
    return tuple(batches)


def _updater(given: dict[str, Any]) -> StoredUpdater:
    return StoredUpdater(
        kind=_word(given["class"]),
        num_parameters=_count(given["num_parameters"]),
        groups=tuple(map(_settings, given["groups"])),
        state=tuple((_count(place), dict(of_parameter)) for place, of_parameter in given["state"]),
        other=dict(given["other"]) if isinstance(given["other"], dict) else {},
    )


def _schedule(given: dict[str, Any]) -> StoredSchedule:
    return StoredSchedule(kind=_word(given["class"]), updater=int(given["updater"]), state=_settings(given["state"]))


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    return {_word(name): value for name, value in given.items()}


def _word(given: object) -> str:
    if not isinstance(given, str):
        raise TypeError(f"expected a name; got {given!r}")
    return given


def _count(given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or given < 0:
        raise TypeError(f"expected a number from 0 up; got {given!r}")
    return given
