"""The scorer of the benchmark: what it reads from an incident, what it counts, when it is not content."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
SILOG = BENCH / "cases" / "u36_silog.py"


def loaded(name: str) -> ModuleType:
    """A module of bench/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


score = loaded("case_score")


def incident(script: Path, **changes: object) -> dict:
    """An incident.json that is right about u36_silog, with some of it changed."""
    origin = {
        "op": "aten.sqrt.default",
        "file": str(script),
        "line": score.load_truth(script).line,
        "scope": "silog",
        "samples": [0],
    }
    return {
        "step": 7,
        "phase": "backward",
        "symptom": {"kind": "gradient", "name": "first.weight"},
        "origin": {**origin, **changes},
        "cause": {"family": "range"},
        "reproduced": True,
        "experiments": [
            {"name": "stable form: two-pass std", "healthy": True},
            {"name": "step in float64", "healthy": False},
        ],
        "advice": [{"text": "Take std.", "diff": "--- a/u36_silog.py"}],
    }


def marks_of(tmp_path: Path, written: dict | None) -> dict:
    """The marks of u36_silog for an incident.json with this content."""
    if written is not None:
        (tmp_path / "incident.json").write_text(json.dumps(written))
    return score.mark(score.load_truth(SILOG), score.read_incident(tmp_path, SILOG))


def test_a_right_incident_scores_in_every_aspect(tmp_path: Path) -> None:
    """The second of two accepted families counts too."""
    marks = marks_of(tmp_path, incident(SILOG))
    assert list(marks) == list(score.ASPECTS)
    assert all(mark is True for mark in marks.values())


def test_no_incident_is_wrong_in_every_aspect(tmp_path: Path) -> None:
    """Silence about a failure earns nothing."""
    assert set(marks_of(tmp_path, None).values()) == {False}


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"line": 38}, {"line"}),
        ({"file": "elsewhere.py"}, {"line", "function"}),
        ({"op": "aten.rsqrt.default"}, {"op"}),
        ({"samples": [0, 1]}, {"samples"}),
        ({"scope": "main"}, {"function"}),
    ],
)
def test_a_wrong_statement_is_marked_wrong_alone(tmp_path: Path, change: dict, wrong: set) -> None:
    """Each aspect is judged by itself; a line of another file is no line of the script."""
    marks = marks_of(tmp_path, incident(SILOG, **change))
    assert {aspect for aspect, mark in marks.items() if not mark} == wrong


def test_a_remedy_is_an_experiment_that_was_healthy(tmp_path: Path) -> None:
    """The right name with a bad outcome earns nothing, nor does another remedy, nor advice without a patch."""
    told = incident(SILOG)
    told["experiments"][0]["healthy"] = False
    told["experiments"].append({"name": "without samples", "healthy": True})
    told["advice"][0]["diff"] = None
    marks = marks_of(tmp_path, told)
    assert {aspect for aspect, mark in marks.items() if not mark} == {"remedy", "patch"}


@pytest.mark.parametrize("name", ["aten._softmax.default", "aten::_softmax", "_softmax", "Softmax", "softmax_"])
def test_spellings_of_an_operation_are_one(name: str) -> None:
    """Overloads, in-place and private marks and autograd's capitals do not matter."""
    assert score.plain_op(name) == "softmax"


def test_an_alarm_on_a_control_misses_the_bars(tmp_path: Path) -> None:
    """A perfect score on a case does not pay for a false alarm."""
    control = BENCH / "cases" / "n02_half_norm.py"
    (tmp_path / "incident.json").write_text(json.dumps(incident(SILOG)))
    right = (score.load_truth(SILOG), score.read_incident(tmp_path, SILOG))
    quiet, loud = (score.Answer(alarmed=alarmed) for alarmed in (False, True))
    assert score.shortfalls(score.summarise([right, (score.load_truth(control), quiet)])) == []
    missed = score.shortfalls(score.summarise([right, (score.load_truth(control), loud)]))
    assert missed == ["alarms on controls: N02; none is allowed"]


def test_the_bars_are_held_against_the_cases_that_become_nonfinite() -> None:
    """One silent case and one missed failure: the figures say 0 of 2 and 0 of 1."""
    scripts = [BENCH / "cases" / f"{name}.py" for name in ("u36_silog", "u58_scaled_clipping")]
    figures = score.summarise([(score.load_truth(script), score.Answer(alarmed=False)) for script in scripts])
    assert [figures[group]["line"]["asked"] for group in ("all", "nonfinite")] == [2, 1]
    missed = score.shortfalls(figures)
    assert [sentence.split()[0] for sentence in missed] == list(score.BARS)
    assert len(missed) == 8


def test_a_miss_is_explained() -> None:
    """By what the case is about where nothing was said, by the truth where something else was."""
    silent = score.load_truth(BENCH / "cases" / "u58_scaled_clipping.py")
    told = score.why_missed(silent, score.Answer(alarmed=False))
    assert told == f"nothing becomes non-finite: {silent.note}"
    seen = score.load_truth(SILOG)
    assert "line is 12" in score.why_missed(seen, score.Answer(alarmed=True, line=7)).replace(str(seen.line), "12")
    assert score.why_missed(score.load_truth(BENCH / "cases" / "n02_half_norm.py"), score.Answer(alarmed=False)) == ""
