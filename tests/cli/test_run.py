"""`evenkeel run` understands its command line, and refuses before anything is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from evenkeel.cli.main import parse
from evenkeel.core.settings import RunSettings, every, observe, skip, stop


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a script and a package, as the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    for name in ("__init__", "__main__", "fit"):
        (tmp_path / "tool").mkdir(exist_ok=True)
        (tmp_path / "tool" / f"{name}.py").write_text("raise RuntimeError('imported too early')")
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "__init__.py").touch()
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose" / "fit.py").touch()
    return tmp_path


def settings(*arguments: str) -> RunSettings:
    """What `evenkeel run ARGUMENTS` is to supervise."""
    found = parse(["run", *arguments])
    assert isinstance(found, RunSettings), found
    return found


def test_defaults(project: Path) -> None:
    """Policy stop, half an hour for a re-run, a new directory named after the script."""
    found = settings("train.py")
    assert (found.target, found.as_module, found.arguments) == ("train.py", False, ())
    assert (found.policy, found.check_parameters, found.max_rerun_s) == (stop(), every(10), 1800.0)
    assert found.out.parent == project / "evenkeel-runs"
    assert found.out.name.startswith("train-")
    assert found.out.is_dir()


def test_every_option() -> None:
    """Given before the target."""
    found = settings("--out", "o", "--policy", "observe", "--max-rerun-minutes", "0.5", "train.py")
    assert (found.policy, found.max_rerun_s) == (observe(), 30.0)
    found = settings("--policy", "skip", "--max-skips", "7", "--check-parameters-every", "5", "train.py")
    assert (found.policy, found.check_parameters) == (skip(at_most=7), every(5))


def test_a_patch_is_a_file_only_when_it_is_asked_for() -> None:
    """Nothing else of the run depends on it."""
    assert not settings("--out", "o", "train.py").fix_preview
    assert settings("--out", "o", "--fix-preview", "train.py").fix_preview


def test_the_directory_is_absolute(project: Path) -> None:
    """A script may change directory."""
    assert settings("--out", "deep/er", "train.py").out == project / "deep" / "er"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--out", "x"),
        ("--help",),
        ("-m", "x", "--policy=observe"),
        ("--", "--lr", "1"),
        ("a", "--", "-b"),
        ("",),
        ("--lr=1e-3", "data set", "-"),
    ],
)
@pytest.mark.parametrize("target", [("train.py",), ("-m", "tool.fit")])
def test_what_follows_the_target_is_the_programs(target: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    """Untouched, even when it looks like an option of ours."""
    found = settings("--out", "o", *target, *arguments)
    assert found.target == target[-1]
    assert found.as_module == (target[0] == "-m")
    assert found.arguments == arguments


@pytest.mark.parametrize("name", ["tool", "tool.fit", "loose.fit", "json.tool", "timeit"])
def test_a_module_is_found_without_being_imported(name: str) -> None:
    """In the current directory or on the path; packages need a __main__."""
    assert settings("--out", "o", "-m", name).target == name


def test_directories_of_runs_in_the_same_second_differ() -> None:
    """Each run has its own."""
    assert len({settings("train.py").out for _ in range(5)}) == 5


def test_an_empty_directory_is_taken(project: Path) -> None:
    """Made by hand, or by a scheduler."""
    (project / "empty").mkdir()
    assert settings("--out", "empty", "train.py").out == project / "empty"


REFUSED = [
    (["trian.py"], "there is no file trian.py in ", "did you mean train.py?"),
    (["nothing-like-it"], "there is no file nothing-like-it in ", "use -m"),
    (["tool"], "tool is a directory", "-m"),
    (["-m", "missing"], "no module missing", "leave out -m"),
    (["-m", "tool.missing"], "no module tool.missing", ""),
    (["-m", "tool.fit.more"], "no module tool.fit.more", ""),
    (["-m", "train.py"], "no module train.py", "leave out -m"),
    (["-m", ".fit"], "no module .fit", ""),
    (["-m", "library"], "library is a package without a __main__", "name the module in it"),
    (["--out", "train.py", "train.py"], "--out train.py is a file", "name a directory"),
    (["--out", "train.py/x", "train.py"], "--out train.py/x: Not a directory", "choose another"),
    (
        ["--out", "tool", "train.py"],
        "--out tool is not empty (it holds __init__.py, __main__.py, fit.py)",
        "choose another",
    ),
    (["--max-rerun-minutes", "-1", "train.py"], "--max-rerun-minutes must be a number from 0 up, not -1", ""),
    (["--max-rerun-minutes", "nan", "train.py"], "--max-rerun-minutes must be a number from 0 up, not nan", ""),
]


@pytest.mark.parametrize(("arguments", "what", "remedy"), REFUSED)
def test_refused_with_a_sentence_and_nothing_written(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], what: str, remedy: str
) -> None:
    """Status 2, the reason and the remedy on stderr, the directory as it was."""
    before = sorted(project.rglob("*"))
    assert parse(["run", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"evenkeel: {what}")
    assert remedy in output.err
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize("held", ["journal-rank0.jsonl", "incident.json", ".hidden"])
def test_a_second_run_into_the_same_directory_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], held: str
) -> None:
    """Whatever the first has left there."""
    out = settings("--out", "o", "train.py").out
    (out / held).touch()
    assert parse(["run", "--out", "o", "train.py"]) == 2
    assert f"--out o is not empty (it holds {held})" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_to_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the training starts, not at its first incident."""
    (project / "locked").mkdir(mode=0o555)
    assert parse(["run", "--out", "locked", "train.py"]) == 2
    assert "--out locked is not writable" in capsys.readouterr().err
