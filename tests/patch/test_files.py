"""Only files of the user's are patched, and none is written."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import evenkeel
from evenkeel.core.edit import Edit, Hole, Span
from evenkeel.core.patch import PatchedFile, Rewrite
from evenkeel.patch import Refusal, patched_files

Spans = Callable[..., Span]
TEXT = "y = f(x)\n"


@pytest.fixture
def edit(spans: Spans) -> Callable[[Path | str], Edit]:
    """`f(x)` in a file becomes `g(x)`."""

    def make(file: Path | str) -> Edit:
        where = spans(TEXT, "f(x)", file=str(file))
        return Edit(span=where, template="g({0})", holes=(Hole(span=where, position=0),))

    return make


def test_each_file_with_its_texts(tmp_path: Path, edit: Callable[[Path], Edit]) -> None:
    """In the order of the edits; the files stay as they are."""
    files = [tmp_path / "b.py", tmp_path / "a.py"]
    for file in files:
        file.write_bytes(TEXT.encode())
    rewrite = Rewrite(line=1, before="f(x)", after="g(x)")
    wanted = [PatchedFile(file=str(f), before=TEXT, after="y = g(x)\n", rewrites=(rewrite,)) for f in files]
    assert patched_files([edit(files[0]), edit(files[1]), edit(files[0])]) == tuple(wanted)
    assert [file.read_text() for file in files] == [TEXT, TEXT]


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (Path(sysconfig.get_path("stdlib")) / "json" / "decoder.py", "is not part of your program"),
        (Path(pytest.__file__), "is not part of your program"),
        (Path(evenkeel.__file__), "is not part of your program"),
        ("<stdin>", "is no file"),
        ("/", "is no file"),
        ("missing.py", "is no file"),
    ],
)
def test_files_of_others(file: Path | str, why: str, edit: Callable[[Path | str], Edit]) -> None:
    """Python's own, installed packages, evenkeel, and what is no file."""
    assert patched_files([edit(file)]) == Refusal(f"{Path(file)} {why}")


def test_a_package_in_the_directory_of_the_program(tmp_path: Path, edit: Callable[[Path], Edit]) -> None:
    """An environment that lies there is not the user's own text."""
    file = tmp_path / ".venv" / "lib" / "site-packages" / "a.py"
    file.parent.mkdir(parents=True)
    file.write_text(TEXT)
    assert patched_files([edit(file)]) == Refusal(f"{file} is not part of your program")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (f"# coding: latin-1\n{TEXT}# é\n".encode("latin-1"), "is in iso-8859-1, and patches are in UTF-8"),
        (f"\ufeff{TEXT}".encode(), "is in utf-8-sig, and patches are in UTF-8"),
        (TEXT.encode() + b"# \xff\n" * 3, "cannot be read: "),
        (b"# coding: nonsense\n", "cannot be read: "),
    ],
)
def test_texts_that_no_patch_can_hold(content: bytes, why: str, tmp_path: Path, edit: Callable[[Path], Edit]) -> None:
    """In another encoding, or in none."""
    file = tmp_path / "a.py"
    file.write_bytes(content)
    done = patched_files([edit(file)])
    assert isinstance(done, Refusal)
    assert done.why.startswith(f"{file} {why}")


def test_an_operand_in_another_file(tmp_path: Path, edit: Callable[[Path], Edit]) -> None:
    """Its text means something else there."""
    files = [tmp_path / "a.py", tmp_path / "b.py"]
    for file in files:
        file.write_text(TEXT)
    stranger = replace(edit(files[0]), holes=edit(files[1]).holes)
    assert patched_files([stranger]) == Refusal(f"an operand stands in another file, {files[1]}")


def test_a_refusal_names_the_file(tmp_path: Path, edit: Callable[[Path], Edit]) -> None:
    """One edit that cannot be made, and none is."""
    files = [tmp_path / "a.py", tmp_path / "b.py"]
    files[0].write_text(TEXT)
    files[1].write_text("pass\n")
    done = patched_files([edit(file) for file in files])
    assert isinstance(done, Refusal)
    assert done.why.startswith("b.py: on line 1 no call or operation stands")
