"""Capsules on the disk: placed whole or not at all, and read without believing a word of them."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from evenkeel.capsule.manifest import Manifest, from_text
from evenkeel.capsule.refused import CapsuleRefused

MANIFEST = "manifest.json"
TREES = "trees.json"
CASE = "case.json"  # a copy of the incident.json; of another name, because each of those is one incident
TENSORS = ("batches", "model", "optimizer", "random")
FILES = (TREES, CASE, *(f"{name}.safetensors" for name in TENSORS))

_MAX_TEXT = 1 << 26  # 64 MiB of JSON
_MAX_RATIO = 1000  # what zipping gains at most: deflate on zeros
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)

Fill = Callable[[Path], None]  # writes the files of a capsule into an empty directory
Read = Callable[[str, int], bytes]  # at most so many bytes of a member


def place_directory(target: Path, fill: Fill) -> None:
    """Make the directory `target`, filled; it appears whole or not at all.

    Raises:
        FileExistsError: there is something of that name.
    """
    with _draft(target) as draft:
        fill(draft)
        for path in draft.iterdir():
            _sync(path)
        _sync(draft)
        draft.rename(target)
    _sync(target.parent)


def place_zip(target: Path, fill: Fill) -> None:
    """The same as one file, uncompressed: random numbers do not shrink.

    Raises:
        FileExistsError: there is something of that name.
    """
    with _draft(target) as draft:
        fill(draft)
        packed = draft / "packed"
        with zipfile.ZipFile(packed, "x", zipfile.ZIP_STORED) as file:
            for path in sorted(draft.iterdir()):
                if path != packed:
                    file.write(path, path.name)
        _sync(packed)
        packed.rename(target)
    _sync(target.parent)


def read_capsule(path: Path) -> tuple[Manifest, Mapping[str, bytes]]:
    """The manifest and the content of every other file, checksums verified. Nothing is written or unpacked to disk.

    Memory: the size of the capsule.

    Raises:
        CapsuleRefused: there is no capsule, it is damaged, or it holds what no capsule of ours would.
    """
    if path.is_dir():
        return _verified(_names_in_directory(path), lambda name, most: _read_file(path / name, most))
    if not path.is_file():
        raise CapsuleRefused(f"there is no capsule {path}; it lies in the directory of a run, beside incident.json")
    try:
        with zipfile.ZipFile(path) as file:
            return _verified(_names_in_zip(file), lambda name, most: _read_member(file, name, most))
    except _DAMAGED as error:
        raise CapsuleRefused(f"{path} is no zip file of a capsule: {error}") from error


def _verified(names: list[str], read: Read) -> tuple[Manifest, Mapping[str, bytes]]:
    if MANIFEST not in names:
        raise CapsuleRefused(f"it has no {MANIFEST}; a capsule is a directory or zip file with one")
    manifest = from_text(_text(read(MANIFEST, _MAX_TEXT + 1), MANIFEST))
    listed = sorted(file.name for file in manifest.files)
    if listed != sorted(name for name in names if name != MANIFEST) or not set(listed) <= set(FILES):
        raise CapsuleRefused(f"its files are {', '.join(sorted(names))}; its manifest names {', '.join(listed)}")
    contents = {}
    for file in manifest.files:
        content = read(file.name, max(file.num_bytes, 0) + 1)
        if len(content) != file.num_bytes:
            raise CapsuleRefused(f"{file.name} is not of the {file.num_bytes:,} bytes that the manifest names")
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise CapsuleRefused(f"{file.name} was changed after it was written: its SHA-256 is another one")
        if file.name.endswith(".json"):
            _text(content, file.name)
        contents[file.name] = content
    if not {TREES, CASE} <= contents.keys():
        raise CapsuleRefused(f"it lacks {TREES} or {CASE}")
    return manifest, contents


def _text(content: bytes, name: str) -> str:
    if len(content) > _MAX_TEXT:
        raise CapsuleRefused(f"{name} is larger than {_MAX_TEXT:,} bytes, which no text of a capsule is")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise CapsuleRefused(f"{name} is no text: {error}") from error


def _names_in_directory(path: Path) -> list[str]:
    names = sorted(entry.name for entry in path.iterdir())
    _refuse_strangers(names)
    for name in names:
        if not stat.S_ISREG((path / name).lstat().st_mode):
            raise CapsuleRefused(f"{name} is a link or no file at all; a capsule has plain files only")
    return names


def _names_in_zip(file: zipfile.ZipFile) -> list[str]:
    members = file.infolist()
    names = [member.filename for member in members]
    _refuse_strangers(names)
    if len(set(names)) < len(names):
        raise CapsuleRefused("two of its files have the same name")
    for member in members:
        mode = member.external_attr >> 16
        if member.is_dir() or (stat.S_IFMT(mode) not in (0, stat.S_IFREG)) or member.flag_bits & 1:
            raise CapsuleRefused(f"{member.filename} is a link, encrypted, or no file at all")
        if member.file_size > _MAX_RATIO * (member.compress_size + 1):
            raise CapsuleRefused(
                f"{member.filename} would grow from {member.compress_size:,} bytes to {member.file_size:,}"
            )
    return names


def _refuse_strangers(names: list[str]) -> None:
    strangers = [name for name in names if name not in (MANIFEST, *FILES)]
    if strangers:
        raise CapsuleRefused(f"{strangers[0]!r} is no file of a capsule; it has {MANIFEST}, {', '.join(FILES)}")


def _read_file(path: Path, most: int) -> bytes:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return file.read(min(most, os.fstat(file.fileno()).st_size + 1))  # room is made for what is asked for
    except OSError as error:
        raise CapsuleRefused(f"{path.name} cannot be read: {error.strerror}") from error


def _read_member(file: zipfile.ZipFile, name: str, most: int) -> bytes:
    with file.open(name) as member:
        return member.read(min(most, file.getinfo(name).file_size + 1))  # a manifest may name any number of bytes


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """An empty directory beside the goal, gone afterwards."""
    if target.exists():
        raise FileExistsError(f"{target} exists and is not overwritten")
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)  # renamed, when all went well


def _sync(path: Path) -> None:
    """Have the disk hold what was written."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
