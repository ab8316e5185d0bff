"""An event as one line of JSON, and back.

    {"e":"run","c":"train.py --lr 1","t":1700000000.0,"r":0}      RunStarted
    {"e":"step","n":12,"l":0.693}                                 StepDone
    {"e":"bad","n":13,"k":"loss","w":"loss"}                      StepBad
    {"e":"replay","n":13,"h":"in process","ok":true}              Replayed
    {"e":"skip","n":13,"k":1}                                     StepSkipped
    {"e":"refused","n":2,"s":32768.0}                             UpdateRefused
    {"e":"peer","n":13,"r":1}                                     PeerBad
    {"e":"end","n":13,"s":3,"t":1700000060.0}                     RunEnded

A loss may also be null (not read) or one of the words "nan", "inf", "-inf".
Keys are short because a run has millions of step lines. Keys that are not known are ignored, so that a later
version may add some.
"""

from __future__ import annotations

import json
import math

from evenkeel.core.errors import EvenkeelError
from evenkeel.core.events import (
    Event,
    PeerBad,
    Replayed,
    RunEnded,
    RunStarted,
    StepBad,
    StepDone,
    StepSkipped,
    UpdateRefused,
)
from evenkeel.journal.numbers import number_from_json, number_to_json

KINDS = ("run", "step", "bad", "replay", "skip", "refused", "peer", "end")

Fields = dict[str, object]


class UnreadableLine(EvenkeelError):
    """A line of a journal that is no event; the text says why."""


def encode(event: Event) -> str:
    """The event as one line, without the newline. A StepDone takes at most 200 bytes."""
    if isinstance(event, StepDone) and event.loss is not None and math.isfinite(event.loss):
        return f'{{"e":"step","n":{event.step},"l":{event.loss!r}}}'  # millions of them: three times as fast
    return json.dumps(_fields_of(event), separators=(",", ":"), allow_nan=False)


def decode(line: str) -> Event:
    """The event that `encode` wrote.

    Raises:
        UnreadableLine: the line is no JSON object, is torn, is of an unknown kind, or lacks a field.
    """
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise UnreadableLine(f"no JSON ({error}): {_shortened(line)}") from error
    if not isinstance(fields, dict):
        raise UnreadableLine(f"no JSON object: {_shortened(line)}")
    try:
        return _event_of(fields)
    except (KeyError, ValueError) as error:
        reason = f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
        raise UnreadableLine(f"{reason}: {_shortened(line)}") from error


def _fields_of(event: Event) -> Fields:  # noqa: PLR0911  one for each kind of event
    match event:
        case RunStarted():
            return {"e": "run", "c": event.command, "t": number_to_json(event.time_s), "r": event.rank}
        case StepDone():
            loss = None if event.loss is None else number_to_json(event.loss)
            return {"e": "step", "n": event.step, "l": loss}
        case StepBad():
            return {"e": "bad", "n": event.step, "k": event.kind, "w": event.name}
        case Replayed():
            return {"e": "replay", "n": event.step, "h": event.how, "ok": event.reproduced}
        case StepSkipped():
            return {"e": "skip", "n": event.step, "k": event.num_skipped}
        case UpdateRefused():
            return {"e": "refused", "n": event.step, "s": number_to_json(event.scale)}
        case PeerBad():
            return {"e": "peer", "n": event.step, "r": event.rank}
        case RunEnded():
            return {"e": "end", "n": event.num_steps, "s": event.status, "t": number_to_json(event.time_s)}


def _event_of(fields: Fields) -> Event:  # noqa: PLR0911  the same
    match fields["e"]:
        case "run":
            return RunStarted(
                command=_text(fields, "c"), time_s=number_from_json(fields["t"]), rank=_count(fields, "r")
            )
        case "step":
            loss = None if fields["l"] is None else number_from_json(fields["l"])
            return StepDone(step=_count(fields, "n"), loss=loss)
        case "bad":
            return StepBad(step=_count(fields, "n"), kind=_text(fields, "k"), name=_text(fields, "w"))
        case "replay":
            return Replayed(step=_count(fields, "n"), how=_text(fields, "h"), reproduced=_flag(fields, "ok"))
        case "skip":
            return StepSkipped(step=_count(fields, "n"), num_skipped=_count(fields, "k"))
        case "refused":
            return UpdateRefused(step=_count(fields, "n"), scale=number_from_json(fields["s"]))
        case "peer":
            return PeerBad(step=_count(fields, "n"), rank=_count(fields, "r"))
        case "end":
            return RunEnded(
                num_steps=_count(fields, "n"),
                status=_count(fields, "s"),
                time_s=number_from_json(fields["t"]),
            )
        case kind:
            raise ValueError(f"unknown kind of event {kind!r}; known are {', '.join(KINDS)}")


def _count(fields: Fields, key: str) -> int:
    value = fields[key]
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"the field {key!r} must be a whole number, not {value!r}")


def _text(fields: Fields, key: str) -> str:
    value = fields[key]
    if isinstance(value, str):
        return value
    raise ValueError(f"the field {key!r} must be text, not {value!r}")


def _flag(fields: Fields, key: str) -> bool:
    value = fields[key]
    if isinstance(value, bool):
        return value
    raise ValueError(f"the field {key!r} must be true or false, not {value!r}")


def _shortened(line: str, limit: int = 120) -> str:
    return repr(line) if len(line) <= limit else f"{line[:limit]!r}… ({len(line)} characters)"
