"""What the recipes share: options, checkpoints, scores, faults, the page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import torch
from matplotlib.figure import Figure

from evenkeel_recipes.kit.checklist import Check, checked, insist, later, noted, refusals_too, shortened, told
from evenkeel_recipes.kit.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from evenkeel_recipes.kit.command import Commands
from evenkeel_recipes.kit.faults import Fault, banner, described, planted
from evenkeel_recipes.kit.files import digest_of, read_array, read_json
from evenkeel_recipes.kit.options import as_mapping, from_mapping, option, required
from evenkeel_recipes.kit.outcome import Outcome, score_lines, skill, write_metrics
from evenkeel_recipes.kit.page import Section, write_page
from evenkeel_recipes.kit.refusal import Refused


@dataclass(frozen=True)
class Config:
    """Do something."""

    goal: Path = required("Where.")
    rate: float = option(0.5, "How fast.", "--lr")
    steps: int | None = option(None, "How long.")
    kind: str = option("a", "Which.", choices=("a", "b"))
    fault: tuple[str, ...] = option((), "What.", "--faults")
    share: float = option(0.5, "How much.", above=0, below=1)
    ranks: int = option(1, "How many.", least=1)
    fast: bool = option(False, "Quickly.")


def seen(*arguments: str) -> Config | int:
    found: list[Config] = []

    def carry_out(config: Config) -> int:
        found.append(config)
        return 0

    commands = Commands("test")
    commands.offer("run", Config, carry_out)
    status = commands.call(["run", *arguments])
    return found[0] if found else status


def test_fields_are_options() -> None:
    assert seen("--goal", "x") == Config(Path("x"))
    given = seen("--goal", "x", "--lr", "2", "--steps", "3", "--kind", "b", "--faults", "p, q", "--fast")
    assert given == Config(Path("x"), 2.0, 3, "b", ("p", "q"), fast=True)
    assert isinstance(given, Config)
    assert as_mapping(given)["fault"] == ["p", "q"]


def test_a_file_gives_defaults_and_the_command_line_wins(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("goal: y\nrate: 3\nfault: [r]\nfast: true\n")
    assert seen("--config", str(path), "--rate", "4") == Config(Path("y"), 4.0, fault=("r",), fast=True)
    for wrong in ("goal: y\nrat: 3\n", "goal: [y", "- goal", "goal: y\nranks: many\n"):
        path.write_text(wrong)
        assert seen("--config", str(path)) == 2


def test_a_configuration_comes_back_from_its_mapping() -> None:
    config = Config(Path("x"), 2.0, 3, "b", ("p", "q"), fast=True)
    assert from_mapping(Config, json.loads(json.dumps(as_mapping(config)))) == config
    assert from_mapping(Config, {"goal": "x"}) == Config(Path("x"))
    with pytest.raises(Refused, match="Config has no option rat"):
        from_mapping(Config, {"goal": "x", "rat": 3})


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--goal", "x", "--rate", "fast"],
        ["--goal", "x", "--nothing"],
        ["--goal", "x", "--kind", "c"],
        ["--goal", "x", "--share", "0"],
        ["--goal", "x", "--share", "1"],
        ["--goal", "x", "--ranks", "0"],
    ],
)
def test_what_cannot_be_asked_for_is_a_usage_error(arguments: list[str]) -> None:
    assert seen(*arguments) == 2


def test_refusals_have_a_status_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_: Config) -> int:
        raise Refused("no such data")

    commands = Commands("test")
    commands.offer("run", Config, refuse)
    assert commands.call(["run", "--goal", "x"]) == 4
    assert capsys.readouterr().err == "refused: no such data\n"


def test_a_question_that_is_not_answered_ends_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def ask(_: Config) -> int:
        raise click.Abort

    commands = Commands("test")
    commands.offer("run", Config, ask)
    assert commands.call(["run", "--goal", "x"]) == 2
    assert "nothing was done" in capsys.readouterr().err


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    tensors = {"a": torch.randn(3, 2), "b": torch.arange(4)}
    write_checkpoint(path, Checkpoint({"old": torch.ones(1)}, {}))
    write_checkpoint(path, Checkpoint(tensors, {"names": ["x"]}))
    found = read_checkpoint(path)
    assert found.facts == {"names": ["x"]}
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in tensors.items())
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_what_is_not_finite_never_replaces_what_is(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    write_checkpoint(path, Checkpoint({"a": torch.ones(2)}, {}))
    with pytest.raises(Refused, match="a is not finite"):
        write_checkpoint(path, Checkpoint({"a": torch.tensor([1.0, torch.nan])}, {}))
    assert torch.equal(read_checkpoint(path).tensors["a"], torch.ones(2))


def test_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    with pytest.raises(Refused, match="there is no checkpoint"):
        read_checkpoint(path)
    write_checkpoint(path, Checkpoint({"a": torch.ones(2)}, {}))
    tensors = next(tmp_path.glob("*.safetensors"))
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 1
    tensors.write_bytes(bytes(data))
    with pytest.raises(Refused, match="the tensors have sha256"):
        read_checkpoint(path)
    path.write_text(path.read_text().replace('"format": 2', '"format": 9'))
    with pytest.raises(Refused, match="format 9"):
        read_checkpoint(path)
    path.write_text("{")
    with pytest.raises(Refused, match="is damaged, or no JSON"):
        read_checkpoint(path)
    write_checkpoint(path, Checkpoint({"a": torch.ones(2)}, {}))
    next(tmp_path.glob("*.safetensors")).unlink()
    with pytest.raises(Refused, match="do not lie beside it"):
        read_checkpoint(path)


OUTCOME = Outcome(
    headline="mae",
    model={"mae": 0.5, "r": 0.8, "odd": None},
    baselines={"none": {"mae": 2.0, "r": 0.1}, "mean": {"mae": 1.0, "r": 0.4}},
    higher_is_better={"mae": False, "r": True, "odd": True},
    population={"samples": 3},
    seconds=1.0,
    seed=0,
    ceiling={"r": 0.9},
    coverage={"mae": (30, 30), "odd": (0, 4)},
)


def test_skill_is_against_the_best_baseline(tmp_path: Path) -> None:
    assert OUTCOME.best_baseline == "mean"
    assert OUTCOME.skill == 0.5
    assert skill(OUTCOME, "r", "mean") == pytest.approx(0.4 / 0.5)
    assert skill(OUTCOME, "odd", "mean") is None
    lines = list(score_lines(OUTCOME))
    assert lines[0] == "mae=0.5 | baseline(none)=2 | baseline(mean)=1 | skill=0.5 | ceiling=0 | coverage=30/30"
    assert lines[1].endswith("| skill=0.8 | ceiling=0.9")
    assert lines[2] == "odd=undefined |  | skill=undefined | ceiling=1 | coverage=0/4"
    write_metrics(tmp_path / "metrics.json", OUTCOME)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert {"headline", "model", "baselines", "higher_is_better", "population", "seconds", "seed"} <= set(written)
    assert written["peak_memory_bytes"] > 1e6


def test_a_list_of_checks_is_told_and_insisted_on() -> None:
    made = []

    def checks() -> Iterator[Check]:
        for check in (checked("a", ""), noted("b", "odd"), checked("c", "bad"), checked("d", "worse")):
            made.append(check.what)
            yield check

    assert list(told(checks())) == ["pass  a", "note  b: odd", "FAIL  c: bad", "FAIL  d: worse"]
    made.clear()
    with pytest.raises(Refused, match="bad"):
        insist(checks())
    assert made == ["a", "b", "c"]
    assert [check.what for check in shortened("all", checks())] == ["b", "c", "d"]
    assert list(told(shortened("all", [checked("a", ""), later("b", "soon")]))) == [
        "later b: soon",
        "pass  all: 2 checks",
    ]

    def refusing() -> Iterator[Check]:
        yield checked("a", "")
        raise Refused("no file")

    assert list(told(refusals_too("files", refusing()))) == ["pass  a", "FAIL  files: no file"]


def test_files_of_others_are_read_or_refused(tmp_path: Path) -> None:
    for name, data, sentence in (
        ("a.json", b"[1]", "holds a list, not an object"),
        ("b.json", b"\xff", "is damaged, or no JSON"),
        ("c.npy", b"nonsense", "is no array"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Refused, match=sentence):
            (read_json if name.endswith("json") else read_array)(tmp_path / name)
        with pytest.raises(Refused, match="there is no file"):
            (read_json if name.endswith("json") else read_array)(tmp_path / f"no-{name}")
    assert digest_of(tmp_path / "a.json") == hashlib.sha256(b"[1]").hexdigest()


def test_faults_are_planted_one_after_the_other() -> None:
    table = tuple(Fault(name, "h", "c", "s", loud=True, plant=lambda x, n=name: x + n) for name in ("one", "two"))
    assert planted("", ("two", "one"), table) == "twoone"
    assert list(banner(("one",), table)) == ["FAULT PLANTED: one: h"]
    assert len(list(described(table))) == 2
    with pytest.raises(Exception, match="there is no fault 'on'; near it: one"):
        planted("", ("on",), table)


def test_a_page_needs_nothing_else(tmp_path: Path) -> None:
    figure = Figure()
    figure.subplots().plot([0, 1])
    section = Section("A <b>", ["x < y"], ("k",), [("v",)], [(figure, "a line")], warning=True)
    write_page(tmp_path / "p.html", "T", [section])
    page = (tmp_path / "p.html").read_text()
    assert "A &lt;b&gt;" in page
    assert "x &lt; y" in page
    assert 'class="warning"' in page
    assert "data:image/png;base64," in page
    assert "http" not in page
