"""Diffs that `patch` and `git apply` carry out to the byte."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.core.patch import PatchedFile
from evenkeel.patch import diff_of, root_of

TOOLS = {"patch": ["patch", "-p1", "--batch", "--binary"], "git": ["git", "apply", "-"]}
TEXTS = {
    "plain": ("a\nb\nc\n", "a\nB\nc\n"),
    "no line end": ("a\nb", "a\nB"),
    "line end added": ("a\nb", "a\nb\n"),
    "line end lost": ("a\nb\n", "a\nb"),
    "line ends of Windows": ("a\r\nb\r\n", "a\r\nB\r\n"),
    "mixed line ends": ("a\r\nb\nc\rd\n", "a\r\nB\nc\rd\n"),
    "far apart": ("".join(f"{i}\n" for i in range(40)), "".join(f"{i * (i not in {3, 33})}\n" for i in range(40))),
    "separators that are no line ends": ("a\x0cb\u2028\nc\n", "a\x0cb\u2028\nd\n"),
    "letters": ("é\nü\n", "é\nß\n"),
}
tools = pytest.mark.parametrize("tool", [pytest.param(t, marks=_needs) for t, _needs in (
    (t, pytest.mark.skipif(shutil.which(t) is None, reason=f"{t} is not installed")) for t in TOOLS
)])  # fmt: skip


def apply(tool: str, diff: str, directory: Path) -> None:
    """Carry out a diff in a directory."""
    done = subprocess.run(TOOLS[tool], cwd=directory, input=diff.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(directory.rglob("*.rej")) + list(directory.rglob("*.orig")) == []


@tools
@pytest.mark.parametrize(("before", "after"), TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("name", ["train.py", "two words/ü train.py"])
def test_the_tools_agree(tool: str, before: str, after: str, name: str, tmp_path: Path) -> None:
    """Every kind of line end, names with spaces and letters."""
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(before.encode())
    diff = diff_of([PatchedFile(file=str(file), before=before, after=after)], tmp_path)
    apply(tool, diff, tmp_path)
    assert file.read_bytes() == after.encode()


@tools
def test_several_files(tool: str, tmp_path: Path) -> None:
    """One diff for all."""
    files = [tmp_path / "a.py", tmp_path / "inner" / "b.py"]
    files[1].parent.mkdir()
    for file in files:
        file.write_text("x\ny\n")
    diff = diff_of([PatchedFile(file=str(f), before="x\ny\n", after="x\nz\n") for f in files], tmp_path)
    assert [line for line in diff.splitlines() if line.startswith(("---", "+++"))] == [
        "--- a/a.py",
        "+++ b/a.py",
        "--- a/inner/b.py",
        "+++ b/inner/b.py",
    ]
    apply(tool, diff, tmp_path)
    assert [file.read_text() for file in files] == ["x\nz\n", "x\nz\n"]


def test_a_file_outside_of_the_directory(tmp_path: Path) -> None:
    """Paths upwards are refused by the tools: the diff begins above all files."""
    files = [PatchedFile(file=str(tmp_path / d / "t.py"), before="x\n", after="y\n") for d in ("one", "two")]
    (tmp_path / "elsewhere").mkdir()
    assert root_of(files, tmp_path) == tmp_path.resolve()
    assert root_of(files, tmp_path / "elsewhere") == tmp_path.resolve()
    assert root_of(files[:1], tmp_path / "elsewhere") == tmp_path.resolve() / "one"
    assert "--- a/t.py" in diff_of(files[:1], tmp_path / "elsewhere")
    assert "--- a/one/t.py" in diff_of(files, tmp_path / "elsewhere")


def test_links_are_followed(tmp_path: Path) -> None:
    """The tools do not patch through a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    diff = diff_of([PatchedFile(file=str(tmp_path / "link" / "t.py"), before="x\n", after="y\n")], tmp_path)
    assert diff.startswith("--- a/real/t.py\n")


LINES = st.lists(st.sampled_from(["", "x", "-- a", "\\ No", "@@", "é\x0c", "\r"]), max_size=5)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@given(before=LINES, after=LINES, ends=st.tuples(st.booleans(), st.booleans()))
def test_any_texts(
    before: list[str], after: list[str], ends: tuple[bool, bool], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands in the lines."""
    texts = ["\n".join(lines) + "\n" * end for lines, end in zip((before, after), ends, strict=True)]
    directory = tmp_path_factory.mktemp("any")
    (directory / "t.py").write_bytes(texts[0].encode())
    diff = diff_of([PatchedFile(file=str(directory / "t.py"), before=texts[0], after=texts[1])], directory)
    assert (diff == "") == (texts[0] == texts[1])
    if diff and all(texts):  # a file without a byte is one that is made, or removed
        apply("git", diff, directory)
        assert (directory / "t.py").read_bytes() == texts[1].encode()
