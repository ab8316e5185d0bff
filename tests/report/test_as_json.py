"""incident.json has the agreed layout and gives the incident back exactly."""

from __future__ import annotations

import dataclasses
import json
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenkeel.core.errors import UsageError
from evenkeel.core.incident import Incident
from evenkeel.report.as_json import from_json, to_json

AGREED = {
    "": "schema step rank phase symptom origin chain cause causes reproduced experiments advice capsule report",
    "symptom": "kind name names value",
    "origin": "op function file line source module samples term inputs outputs",
    "cause": "class code family text evidence confidence",
    "chain.0": "role op function file line source module inputs outputs",
    "origin.inputs.0": "name shape dtype device num_nan num_posinf num_neginf num_zero min max",
    "experiments.0": "name changed healthy loss",
    "advice.0": "text verified_by diff",
    "others": "",
}


def instances(annotation: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401  any annotation in core/
    """Values of a type as core/ annotates them, every field of a dataclass filled in."""
    if dataclasses.is_dataclass(annotation):
        hints = get_type_hints(annotation)
        return st.builds(annotation, **{name: instances(hint) for name, hint in hints.items()})
    if get_origin(annotation) in (Union, types.UnionType):
        return st.none() | instances(get_args(annotation)[0])
    if get_origin(annotation) is tuple:
        kinds = get_args(annotation)
        if kinds[-1] is Ellipsis:
            return st.lists(instances(kinds[0]), max_size=2).map(tuple)
        return st.tuples(*map(instances, kinds))
    return st.from_type(annotation)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(instances(Incident))
def test_every_incident_comes_back_as_it_was(incident: Incident) -> None:
    """Compared by repr, because NaN is not equal to itself; the text is plain JSON."""
    text = to_json(incident)
    json.loads(text, parse_constant=pytest.fail)
    assert repr(from_json(text)) == repr(incident)


def test_the_sample_and_the_bare_incident_come_back(incident: Incident, bare: Incident) -> None:
    """With everything, and with next to nothing."""
    assert repr(from_json(to_json(incident))) == repr(incident)
    assert from_json(to_json(bare)) == bare


def at(tree: Any, path: str) -> Any:  # noqa: ANN401  any JSON value
    """The value at a path like `origin.inputs.0`."""
    for key in filter(None, path.split(".")):
        tree = tree[int(key)] if key.isdigit() else tree[key]
    return tree


@pytest.mark.parametrize("path", AGREED)
def test_the_agreed_keys_are_there(incident: Incident, path: str) -> None:
    """Others rely on them; there may be more."""
    assert set(AGREED[path].split()) <= set(at(json.loads(to_json(incident)), path))


def test_values_stand_where_they_were_agreed(incident: Incident) -> None:
    """A few by hand, as a program would read them."""
    tree = json.loads(to_json(incident))
    assert (tree["schema"], tree["step"], tree["rank"], tree["phase"]) == (1, 12, 0, "forward")
    assert tree["symptom"]["value"] == "nan"
    assert tree["origin"]["op"] == "aten.log.default"
    assert tree["origin"]["line"] == 7
    assert tree["origin"]["source"] == "return (posterior * ratio.log()).sum(1)"
    assert tree["origin"]["samples"] == [3, 7]
    assert tree["origin"]["elements"][0] == {"index": [3, 17], "operands": [0.0], "result": "-inf"}
    assert tree["origin"]["outputs"][0]["num_neginf"] == 2
    assert tree["cause"] == tree["causes"][0]
    assert tree["cause"]["class"] == "log_of_nonpositive"
    assert [link["role"] for link in tree["chain"]] == ["infinity born", "became nan", "visible"]
    assert tree["experiments"][1]["loss"] == "nan"


def test_what_is_not_known_is_null(bare: Incident) -> None:
    """Absent is not invented."""
    tree = json.loads(to_json(bare))
    assert tree["origin"] is None
    assert tree["cause"] is None
    assert tree["causes"] == []
    assert tree["symptom"]["value"] is None


def test_a_later_version_may_add_keys(incident: Incident) -> None:
    """Unknown keys are ignored, at the top and inside."""
    tree = json.loads(to_json(incident))
    tree["new"] = tree["origin"]["new"] = 1
    assert repr(from_json(json.dumps(tree))) == repr(incident)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("schema", 2, "incident.schema is 2; this evenkeel reads 1"),
        ("step", "twelve", "incident.case.step: expected a whole number; got 'twelve'"),
        ("step", True, "incident.case.step: expected a whole number; got True"),
        ("phase", "sideways", "expected one of forward, backward, optimizer, state, data; got 'sideways'"),
        ("phase", [], "expected one of forward"),
        ("chain", {}, "incident.chain: expected a list; got {}"),
        ("chain", [3], "incident.chain: expected an object; got 3"),
        ("origin", 3, "incident.origin: expected an object; got 3"),
        ("losses", ["many"], "incident.case.losses[0]: expected a number"),
        ("environment", [["torch"]], "incident.environment[0]: expected a list of 2; got ['torch']"),
        ("symptom", {"kind": "loss"}, "incident.case.symptom.name is missing"),
    ],
)
def test_a_malformed_incident_is_refused(incident: Incident, path: str, value: object, reason: str) -> None:
    """The error names the field, what was expected and what was found."""
    tree = {**json.loads(to_json(incident)), path: value}
    with pytest.raises(UsageError) as caught:
        from_json(json.dumps(tree))
    assert reason in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_other_text_is_refused(text: str) -> None:
    """A torn file, another file."""
    with pytest.raises(UsageError):
        from_json(text)
