"""Capsules appear whole or not at all, and every word of them is checked before it is believed."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evenkeel.capsule.freeze import Frozen
from evenkeel.capsule.manifest import Manifest
from evenkeel.capsule.refused import CapsuleRefused
from evenkeel.capsule.store import place_directory, place_zip, read_capsule
from evenkeel.capsule.thaw import thaw

Freeze = Callable[..., Frozen]


def failing(draft: Path) -> None:
    """Writes half of it."""
    (draft / "manifest.json").write_text("{")
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("place", [place_directory, place_zip])
def test_nothing_is_left_of_one_that_failed(place: Callable[..., None], tmp_path: Path) -> None:
    """Not even the draft."""
    with pytest.raises(OSError, match="No space left"):
        place(tmp_path / "capsule", failing)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [place_directory, place_zip])
def test_an_existing_one_is_kept(place: Callable[..., None], tmp_path: Path) -> None:
    """Whatever it is."""
    (tmp_path / "capsule").write_text("earlier")
    with pytest.raises(FileExistsError, match="is not overwritten"):
        place(tmp_path / "capsule", lambda _: None)
    assert (tmp_path / "capsule").read_text() == "earlier"
    assert [p.name for p in tmp_path.iterdir()] == ["capsule"]


@pytest.mark.parametrize("as_zip", [False, True])
def test_it_is_read_as_it_was_written(frozen: Freeze, *, as_zip: bool) -> None:
    """Manifest, sizes, and nothing beside it."""
    done = frozen(as_zip=as_zip)
    assert done.path.name == ("capsule.zip" if as_zip else "capsule")
    assert [p.name for p in done.path.parent.iterdir()] == [done.path.name]
    manifest, contents = read_capsule(done.path)
    assert manifest == done.manifest
    assert {file.name: file.num_bytes for file in manifest.files} == {n: len(c) for n, c in contents.items()}
    assert done.num_bytes > manifest.num_bytes > 0


def edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    """Replace text in a file."""
    return lambda path: (path / name).write_text((path / name).read_text().replace(old, new))


def flip(path: Path) -> None:
    """One bit of a parameter."""
    content = bytearray((path / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (path / "model.safetensors").write_bytes(content)


def link(path: Path) -> None:
    """A file that lies elsewhere."""
    (path / "trees.json").rename(path.parent / "outside")
    (path / "trees.json").symlink_to(path.parent / "outside")


def replace_by_directory(path: Path) -> None:
    """No file at all."""
    (path / "trees.json").unlink()
    (path / "trees.json").mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (flip, "model.safetensors was changed after it was written"),
    "cut": (lambda path: os.truncate(path / "trees.json", 10), r"trees.json is not of the [\d,]+ bytes"),
    "grown": (lambda path: os.truncate(path / "trees.json", 1_000_000), r"trees.json is not of the [\d,]+ bytes"),
    "lacking": (lambda path: (path / "random.safetensors").unlink(), "its manifest names"),
    "stranger": (lambda path: (path / "evil.py").write_text("print('ran')"), "'evil.py' is no file of a capsule"),
    "link": (link, "trees.json is a link or no file at all"),
    "directory": (replace_by_directory, "trees.json is a link or no file at all"),
    "no manifest": (lambda path: (path / "manifest.json").unlink(), "it has no manifest.json"),
    "schema": (edit("manifest.json", '"schema": 1', '"schema": 2'), "manifest.schema is 2; this evenkeel reads 1"),
    "field": (edit("manifest.json", '"step": 7', '"step": "seven"'), "expected a whole number; got 'seven'"),
    "deep": (lambda path: (path / "manifest.json").write_text("[" * 100_000), "manifest.json is no JSON of ours"),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_directory_is_refused(how: str, frozen: Freeze) -> None:
    """With what is wrong."""
    path = frozen().path
    damage, words = DAMAGES[how]
    damage(path)
    with pytest.raises(CapsuleRefused, match=words):
        thaw(path)


def repacked(source: Path, target: Path, change: Callable[[zipfile.ZipFile, str, bytes], None]) -> Path:
    """A zip file whose members `change` writes anew."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            change(new, name, old.read(name))
    return target


def climbing(new: zipfile.ZipFile, name: str, content: bytes) -> None:
    """A member that would lie outside."""
    new.writestr(f"../{name}" if name == "trees.json" else name, content)


def absolute(new: zipfile.ZipFile, name: str, content: bytes) -> None:
    """The same by an absolute path."""
    new.writestr(f"/elsewhere/{name}" if name == "trees.json" else name, content)


def twice(new: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Two members of one name."""
    new.writestr(name, content)
    if name == "trees.json":
        new.writestr(name, b"{}")


def linked(new: zipfile.ZipFile, name: str, content: bytes) -> None:
    """A symbolic link."""
    info = zipfile.ZipInfo(name)
    info.external_attr = (0o120777 if name == "trees.json" else 0o100644) << 16
    new.writestr(info, content)


def bombed(new: zipfile.ZipFile, name: str, content: bytes) -> None:
    """A few bytes that become many."""
    bomb = name == "model.safetensors"
    new.writestr(name, b"\0" * 10_000_000 if bomb else content, zipfile.ZIP_BZIP2 if bomb else zipfile.ZIP_STORED)


def boundless(new: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Files of more bytes than a machine can count, in the manifest of a compressed file."""
    text = re.sub(rb'"num_bytes": \d+', b'"num_bytes": 99999999999999999999', content)
    new.writestr(name, text if name == "manifest.json" else content, zipfile.ZIP_DEFLATED)


HOSTILE = {
    boundless: "is not of the 99,999,999,999,999,999,999 bytes",
    climbing: "'../trees.json' is no file of a capsule",
    absolute: "'/elsewhere/trees.json' is no file of a capsule",
    twice: "two of its files have the same name",
    linked: "trees.json is a link, encrypted, or no file at all",
    bombed: "model.safetensors would grow from",
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
def test_a_hostile_zip_is_refused(change: Callable[..., None], frozen: Freeze, tmp_path: Path) -> None:
    """Before any of it is unpacked."""
    hostile = repacked(frozen(as_zip=True).path, tmp_path / "hostile.zip", change)
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(CapsuleRefused, match=HOSTILE[change]):
        thaw(hostile)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_one_that_was_compressed_by_hand_is_read(frozen: Freeze, tmp_path: Path) -> None:
    """A person may have zipped the directory."""
    done = frozen()
    shutil.make_archive(str(tmp_path / "mine"), "zip", done.path)
    with zipfile.ZipFile(tmp_path / "mine.zip") as file:
        members = [name for name in file.namelist() if not name.endswith("/")]
    again = tmp_path / "again.zip"
    with zipfile.ZipFile(tmp_path / "mine.zip") as old, zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as new:
        for name in members:
            new.writestr(name, old.read(name))
    assert thaw(again).manifest == done.manifest


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + b"\0" * 18])
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    """A sentence, no traceback."""
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CapsuleRefused):
        thaw(tmp_path / "file")
    with pytest.raises(CapsuleRefused, match="there is no capsule"):
        thaw(tmp_path / "missing")


def test_writing_reads_nothing_but_the_moment(frozen: Freeze, manifest: Manifest) -> None:
    """Random states and threads stay as they are."""
    before = torch.get_rng_state()
    frozen()
    assert torch.equal(torch.get_rng_state(), before)
    assert manifest.files == ()
