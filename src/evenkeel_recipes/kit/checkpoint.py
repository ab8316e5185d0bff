"""Tensors as safetensors, everything else as JSON beside them; no pickle is written or read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from evenkeel_recipes.kit.files import read_json
from evenkeel_recipes.kit.refusal import Refused

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was kept: tensors by name, and facts that JSON can hold."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, object]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write `path` (JSON) and the tensors beside it, so that at each moment the old pair or the new one is whole.

    Raises:
        Refused: a floating tensor holds a value that is not finite; what stood at `path` is left as it was.
    """
    for name, tensor in checkpoint.tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise Refused(f"checkpoint {path}: {name} is not finite; not written, the last good one stays")
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    beside = path.with_name(f"{path.stem}-{digest[:12]}.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(beside, data)
    manifest = {"format": FORMAT, "tensors": beside.name, "sha256": digest, "facts": checkpoint.facts}
    write_whole(path, json.dumps(manifest, indent=1, allow_nan=False).encode())
    for old in path.parent.glob(f"{path.stem}-????????????.safetensors"):
        if old != beside:
            old.unlink()


def read_checkpoint(path: Path) -> Checkpoint:
    """What `write_checkpoint` wrote.

    Raises:
        Refused: there is none, it is damaged, or of a format that this version does not know.
    """
    if not path.is_file():
        raise Refused(f"there is no checkpoint {path}; train first, or give the directory that a run wrote")
    manifest = read_json(path)
    if manifest.get("format") != FORMAT:
        raise Refused(f"checkpoint {path} has format {manifest.get('format')!r}; this version reads {FORMAT}")
    beside = path.parent / Path(str(manifest["tensors"])).name
    if not beside.is_file():
        raise Refused(f"checkpoint {path}: its tensors, {beside.name}, do not lie beside it; copy both files")
    data = beside.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != manifest["sha256"]:
        raise Refused(
            f"checkpoint {path}: the tensors have sha256 {digest[:12]}…, {manifest['sha256'][:12]}… was written"
        )
    return Checkpoint(load(data), manifest["facts"])


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever meets half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(data)
    partial.replace(path)
