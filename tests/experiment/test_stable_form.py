"""Stable forms as changes of a step."""

import torch
from torch import Tensor

from evenkeel.core.case import Case, Origin, Symptom
from evenkeel.core.operation import Leaf, Operation
from evenkeel.core.place import Place
from evenkeel.core.stats import TensorStats
from evenkeel.experiment.change import Change
from evenkeel.experiment.stable_form import FormSearch, search_of, stable_forms
from evenkeel.step.snapshot import RandomState
from evenkeel.step.window import HandOut

STATS = TensorStats(name="x", shape=(), dtype="float32", device="cpu")


def loss_of(x: Tensor) -> Tensor:
    """The surprise of the first class."""
    p = torch.softmax(x, dim=0)
    return -torch.log(p)[0]


def case_of(place: Place | None, function: str = "log", leaf: Leaf | None = None) -> Case:
    """A step whose loss was not finite."""
    operation = Operation(index=3, op=f"aten.{function}.default", function=function, phase="forward", place=place)
    return Case(
        step=5,
        phase="forward",
        symptom=Symptom(kind="loss", name="loss"),
        reproduced=True,
        origin=Origin(operation=operation, leaf=leaf),
    )


def place_of_log() -> Place:
    """Where the log stands."""
    code = loss_of.__code__
    return Place(file=code.co_filename, line=code.co_firstlineno + 3, scope="loss_of", source="")


def found_forms(x: Tensor) -> FormSearch:
    """What a search sees."""
    search = search_of(case_of(place_of_log()), place_of_log)
    assert search is not None
    with search.during():
        assert loss_of(x).item() == torch.inf
    return search


def test_the_search_gives_changes_and_each_tells_what_it_did() -> None:
    """In words, with the line; and how the text would be changed."""
    x = torch.tensor([0.0, 500.0])
    search = found_forms(x)
    assert len(search.found) < len(search.candidates)
    (change,) = (c for c in search.found if c.form.name == "log_softmax")
    assert not change.took_effect
    with change.during():
        assert loss_of(x).item() == 500.0
    line = place_of_log().line
    assert change.took_effect
    assert change.name == "stable form: log_softmax"
    assert change.changed == f"log of softmax at test_stable_form.py:{line} computed as log_softmax"
    assert change.remedy.startswith(f"at test_stable_form.py:{line}, take log_softmax of the logits")
    assert [edit.template for edit in change.edits] == ["torch.log_softmax({0}, dim={1})"]


def test_each_time_begins_anew() -> None:
    """What was applied before does not count."""
    change = stable_forms(case_of(place_of_log()), place_of_log)[0]
    with change.during():
        loss_of(torch.tensor([0.0, 500.0]))
    with change.during():
        pass
    assert not change.took_effect
    assert change.edits == ()


def test_nothing_to_look_for() -> None:
    """No origin, no line of the user, bad before any operation, no form for the operation."""
    place = place_of_log()
    no_origin = Case(step=0, phase="forward", symptom=Symptom(kind="loss", name="loss"), reproduced=True)
    leaf = Leaf(kind="batch", name="batch[0]", stats=STATS)
    cases = (no_origin, case_of(None), case_of(place, leaf=leaf), case_of(place, function="convolution"))
    assert [search_of(case, place_of_log) for case in cases] == [None] * 4
    assert [stable_forms(case, place_of_log) for case in cases] == [()] * 4


def test_both_are_changes_that_leave_the_batch_as_it_is() -> None:
    """As the protocol wants it."""
    hand_out = HandOut.of("source", [torch.ones(2)], RandomState.capture())
    search = search_of(case_of(place_of_log()), place_of_log)
    assert search is not None
    changes: tuple[Change, ...] = (search, *search.candidates)
    assert len(changes) > 5
    for change in changes:
        assert [x.tolist() for x in change.batch(hand_out)] == [[1.0, 1.0]]
        assert not change.keeps_loss
