"""Bad input gets a clear sentence and a status of its own, and nothing is overwritten."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]  # starts a program; see conftest

NO_STEP = "print('nothing to train')\n"
UNREADABLE = "def broken(:\n"


def contents(directory: Path) -> dict[Path, str]:
    """Every file below a directory, with a fingerprint of its bytes."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path: hashlib.blake2b(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (("mising.py",), ["mising.py", "missing.py"]),
        (("directory",), ["directory"]),
        (("-m", "no_such_module"), ["no_such_module"]),
        ((), ["TARGET"]),
    ],
    ids=["missing", "directory", "module", "nothing"],
)
def test_target_that_cannot_run(
    target: tuple[str, ...], words: list[str], project: Callable[..., Path], supervised: Start, tmp_path: Path
) -> None:
    """Status 2, a sentence that names what is wrong, no traceback, and no directory left behind."""
    directory = project(**{"missing.py": NO_STEP, "directory/train.py": NO_STEP})
    out = tmp_path / "out"
    done = supervised(*target, out=out, cwd=directory)
    assert (done.status, done.stdout) == (2, b"")
    assert all(word in done.said for word in words), done.said
    assert "Traceback" not in done.said
    assert not out.exists()


def test_program_that_never_steps(project: Callable[..., Path], supervised: Start, tmp_path: Path) -> None:
    """Status 4 and a sentence: nothing was supervised, and the person should know."""
    directory = project(**{"train.py": NO_STEP})
    done = supervised("train.py", out=tmp_path / "out", cwd=directory)
    assert done.status == 4, done.said
    assert done.stdout == b"nothing to train\n"
    assert b"optimizer.step()" in done.stderr
    assert b"train.py" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out" / "incident.json").exists()


def test_program_that_cannot_be_compiled(
    project: Callable[..., Path], plain: Start, supervised: Start, tmp_path: Path
) -> None:
    """The syntax error is the program's own, as plain Python shows it."""
    directory = project(**{"train.py": UNREADABLE})
    assert supervised("train.py", out=tmp_path / "out", cwd=directory) == plain("train.py", cwd=directory)


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_out_that_cannot_be_made(out: str, project: Callable[..., Path], supervised: Start) -> None:
    """Status 2 and a sentence; the program does not run, and the file in the way stays as it was."""
    directory = project(**{"train.py": NO_STEP, "file": "precious"})
    done = supervised("train.py", out=directory / out, cwd=directory)
    assert (done.status, done.stdout) == (2, b""), done.said
    assert f"--out {directory / out}" in done.said
    assert "Traceback" not in done.said
    assert (directory / "file").read_text() == "precious"


def test_second_run_into_the_same_directory(supervised: Start, tmp_path: Path) -> None:
    """Status 2 and a sentence; every byte of the first run stays."""
    out = tmp_path / "out"
    assert supervised("full_batch.py", out=out).status == 3
    first = contents(out)
    assert {path.name for path in first} >= {"incident.json", "report.html", "journal-rank0.jsonl"}
    done = supervised("full_batch.py", out=out)
    assert (done.status, done.stdout) == (2, b"")
    assert f"--out {out} is not empty" in done.said
    assert "Traceback" not in done.said
    assert contents(out) == first
