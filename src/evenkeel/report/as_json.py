"""incident.json: the layout that other programs rely on. It changes only by adding."""

from __future__ import annotations

import json
from typing import Any

from evenkeel.core.case import Link, Origin
from evenkeel.core.cause import Cause
from evenkeel.core.errors import UsageError
from evenkeel.core.incident import SCHEMA, Incident
from evenkeel.core.operation import Operation
from evenkeel.journal.plain import expect, from_plain, to_plain

Object = dict[str, Any]  # a JSON object; it does not leave this file

PLACE_KEYS = ("file", "line", "scope", "source")
_OF_CASE = (
    "terms",
    "leaves",
    "losses",
    "weight_peaks",
    "gradient_norms",
    "last_good_state",
    "but_for_rounding",
    "only_compiled",
    "repeats",
    "fails_when_filled",
    "obstacle",
)


def to_json(incident: Incident) -> str:
    """The incident as the text of an incident.json; numbers that are not finite are "nan", "inf", "-inf"."""
    return json.dumps(_layout(incident), indent=2, allow_nan=False) + "\n"


def from_json(text: str) -> Incident:
    """The incident that `to_json` wrote, exactly.

    Raises:
        UsageError: the text is no JSON, is of another schema, lacks a field, or has a value of a wrong type.
    """
    try:
        given = expect(dict, json.loads(text), "incident")
    except ValueError as error:
        raise UsageError(f"this is no incident.json: {error}") from error
    if given.get("schema") != SCHEMA:
        raise UsageError(
            f"incident.schema is {given.get('schema')!r}; this evenkeel reads {SCHEMA}: "
            "use the version of evenkeel that wrote the file"
        )
    return from_plain(Incident, _unfolded(given), "incident")


def _layout(incident: Incident) -> Object:
    case = to_plain(incident.case)
    rest = to_plain(incident)
    del rest["case"]
    causes = [_cause(cause) for cause in incident.causes]
    origin = incident.case.origin
    return {
        "schema": SCHEMA,
        **{key: case[key] for key in ("step", "phase", "symptom", "reproduced")},
        "origin": None if origin is None else _origin(origin),
        "chain": [_link(link) for link in incident.case.chain],
        "cause": causes[0] if causes else None,
        **rest,
        "causes": causes,
        "others": [_origin(other) for other in incident.case.others],
        "upstream": [_operation(operation) for operation in incident.case.upstream],
        "incoming": [_operation(operation) for operation in incident.case.incoming],
        "replaced": [_operation(operation) for operation in incident.case.replaced],
        **{key: case[key] for key in _OF_CASE},
    }


def _cause(cause: Cause) -> Object:
    fields = to_plain(cause)
    return {"class": fields.pop("name"), **fields}


def _operation(operation: Operation) -> Object:
    fields = to_plain(operation)
    return {**fields, **(fields.pop("place") or dict.fromkeys(PLACE_KEYS))}


def _link(link: Link) -> Object:
    return {"role": link.role, **_operation(link.operation)}


def _origin(origin: Origin) -> Object:
    """Operation and origin side by side; the operation's own module becomes `innermost_module`."""
    fields = to_plain(origin)
    del fields["operation"]
    return {
        **_operation(origin.operation),
        "innermost_module": origin.operation.module,
        **fields,
        "derivative": None if origin.derivative is None else _operation(origin.derivative),
    }


def _unfolded(given: Object) -> Object:
    """The nesting of the dataclasses, made from the layout."""
    origin = given.get("origin")
    case = {
        **given,
        "origin": None if origin is None else _unfolded_origin(origin, "origin"),
        "chain": [
            {"role": link.get("role"), "operation": _unfolded_operation(link)} for link in _objects(given, "chain")
        ],
        "others": [_unfolded_origin(other, "others") for other in _objects(given, "others")],
        "upstream": [_unfolded_operation(operation) for operation in _objects(given, "upstream")],
        "incoming": [_unfolded_operation(operation) for operation in _objects(given, "incoming")],
        "replaced": [_unfolded_operation(operation) for operation in _objects(given, "replaced")],
    }
    causes = [{**cause, "name": cause.get("class")} for cause in _objects(given, "causes")]
    return {**given, "case": case, "causes": causes}


def _objects(given: Object, key: str) -> list[Object]:
    at = f"incident.{key}"
    return [expect(dict, item, at) for item in expect(list, given.get(key, []), at)]


def _unfolded_operation(fields: Object) -> Object:
    place = None if fields.get("file") is None else {key: fields.get(key) for key in PLACE_KEYS}
    return {**fields, "place": place}


def _unfolded_origin(given: object, at: str) -> Object:
    fields = expect(dict, given, f"incident.{at}")
    derivative = fields.get("derivative")
    if derivative is not None:
        derivative = _unfolded_operation(expect(dict, derivative, f"incident.{at}.derivative"))
    operation = {**fields, "module": fields.get("innermost_module", fields.get("module", ""))}
    return {**fields, "operation": _unfolded_operation(operation), "derivative": derivative}
