"""A failing step written into a capsule."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from evenkeel.capsule.formats import write_tensors
from evenkeel.capsule.manifest import Manifest, Missing, StoredFile, to_text
from evenkeel.capsule.moment import Moment
from evenkeel.capsule.random_states import plain_of
from evenkeel.capsule.store import CASE, MANIFEST, TREES, place_directory, place_zip
from evenkeel.capsule.trees import Packing, Plain
from evenkeel.core.settings import CapsuleWish
from evenkeel.step.updater import Updater, parameters_of
from evenkeel.step.window import HandOut

_NO_DATA = Missing(what="the batches of the step", why="left out as asked by --no-data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A capsule that was written."""

    path: Path
    manifest: Manifest
    num_bytes: int


def freeze(moment: Moment, manifest: Manifest, incident: str, directory: Path, wish: CapsuleWish) -> Frozen:
    """Write the capsule into `directory`: `capsule`, or `capsule.zip`.

    Args:
        moment: what the step began with; read tensor by tensor, changed in nothing.
        manifest: without files.
        incident: the text of an incident.json.
        directory: made when it is missing.
        wish: what to leave out, and the form.

    Raises:
        FileExistsError: there is one already.
        OSError: the disk is full, say; then nothing is left of it.

    Memory: a copy of one tensor at a time.
    """
    place, name = (place_zip, "capsule.zip") if wish.as_zip else (place_directory, "capsule")
    target = directory / name
    written: list[Manifest] = []
    place(target, lambda draft: written.append(_fill(draft, moment, manifest, incident, wish)))
    return Frozen(path=target, manifest=written[0], num_bytes=_size(target))


def _fill(draft: Path, moment: Moment, manifest: Manifest, incident: str, wish: CapsuleWish) -> Manifest:
    parts: dict[str, Callable[[Packing], Plain]] = {
        "batches": lambda packing: _batches(moment.hand_outs if wish.keep_data else (), packing),
        "model": lambda packing: packing.pack(dict(moment.tensors), "model"),
        "optimizer": lambda packing: _movers(moment, packing),
        "random": lambda packing: _random(moment, packing),
    }
    trees: dict[str, Plain] = {}
    files: list[StoredFile] = []
    missing = [*moment.missing, *([] if wish.keep_data else [_NO_DATA])]
    for part, tree_of in parts.items():
        packing = Packing()
        trees[part] = tree_of(packing)
        name = f"{part}.safetensors"
        size, sha256 = write_tensors(draft / name, packing.tensors)
        files.append(StoredFile(name=name, num_bytes=size, sha256=sha256))
        missing += packing.missing
    files += [_written(draft / TREES, json.dumps(trees, allow_nan=False)), _written(draft / CASE, incident)]
    full = replace(manifest, files=tuple(files), missing=tuple(missing))
    _written(draft / MANIFEST, to_text(full))
    return full


def _written(path: Path, text: str) -> StoredFile:
    content = text.encode("utf-8", errors="backslashreplace")
    path.write_bytes(content)
    return StoredFile(name=path.name, num_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _batches(hand_outs: tuple[HandOut, ...], packing: Packing) -> Plain:
    """With the number of the loader that each came from, counted as they appear."""
    sources = list(dict.fromkeys(hand_out.source for hand_out in hand_outs))
    return [
        [sources.index(hand_out.source), packing.pack(hand_out.batch, f"batch {n}" if n else "the batch")]
        for n, hand_out in enumerate(hand_outs)
    ]


def _random(moment: Moment, packing: Packing) -> Plain:
    """At the step's beginning, when each batch was handed out, and at the start of the program."""
    start = moment.random_at_start
    states = {
        "step": plain_of(moment.random),
        "batches": [plain_of(hand_out.random) for hand_out in moment.hand_outs],
        "start": None if start is None else plain_of(start),
    }
    return packing.pack(states, "random states")


def _movers(moment: Moment, packing: Packing) -> Plain:
    """Everything that moves with an update."""
    updaters = moment.updaters
    owners = {id(updater): position for position, updater in enumerate(updaters)}
    schedules = [
        {"class": type(s).__name__, "updater": owners.get(id(s.optimizer), -1), "state": dict(s.state_dict())}
        for s in moment.schedules
    ]
    scaler = None if moment.scaler is None else dict(moment.scaler.state_dict())
    movers = {"updaters": [_updater(u) for u in updaters], "schedules": schedules, "scaler": scaler}
    return packing.pack(movers, "optimizer")


def _updater(updater: Updater) -> dict[str, Any]:
    parameters = parameters_of(updater)
    places = {id(parameter): place for place, parameter in enumerate(parameters)}
    state = dict(updater.state) if isinstance(updater, Optimizer) else {}
    return {
        "class": type(updater).__name__,
        "num_parameters": len(parameters),
        "groups": [{k: v for k, v in group.items() if k != "params"} for group in updater.param_groups],
        "state": [[places[id(p)], dict(of_p)] for p, of_p in state.items() if id(p) in places],
        "other": {key: value for key, value in state.items() if id(key) not in places},
    }


def _size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.iterdir()) if path.is_dir() else path.stat().st_size
