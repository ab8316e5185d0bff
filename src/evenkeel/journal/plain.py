"""Frozen values as plain JSON values, and back, guided by their type annotations."""

from __future__ import annotations

import dataclasses
import functools
import types
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from evenkeel.core.errors import UsageError
from evenkeel.journal.numbers import number_from_json, number_to_json

Value = TypeVar("Value")

WORDS: dict[type, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def to_plain(value: object) -> Any:  # noqa: ANN401  any JSON value
    """Dataclasses become objects, tuples become lists, numbers that are not finite become words."""
    if dataclasses.is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    return number_to_json(value) if isinstance(value, float) else value


def from_plain(kind: type[Value], plain: object, at: str) -> Value:
    """The dataclass `kind` that `to_plain` wrote; `at` says where it stands, for the errors.

    Keys that are not known are ignored and fields that are missing take their default, so that a
    later version may add some.

    Raises:
        UsageError: a field without default is missing, or a value is of another type.
    """
    value: Value = _dataclass(kind, plain, at)
    return value


def expect(kind: type[Value], plain: object, at: str) -> Value:
    """The JSON value itself when it is of the type `kind`.

    Raises:
        UsageError: it is not.
    """
    if isinstance(plain, kind) and (kind is bool or not isinstance(plain, bool)):
        return plain
    raise _unexpected(WORDS[kind], plain, at)


def _read(kind: Any, plain: object, at: str) -> Any:  # noqa: ANN401  a type annotation and a value of that type
    if get_origin(kind) is Literal:
        if plain in get_args(kind):
            return plain
        raise _unexpected(f"one of {', '.join(get_args(kind))}", plain, at)
    if get_origin(kind) in (Union, types.UnionType):
        inner, _ = get_args(kind)  # there is no other union than `X | None`
        return None if plain is None else _read(inner, plain, at)
    if get_origin(kind) is tuple:
        return _tuple(get_args(kind), plain, at)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, plain, at)
    return _number(plain, at) if kind is float else expect(kind, plain, at)


def _dataclass(kind: Any, plain: object, at: str) -> Any:  # noqa: ANN401  a dataclass and a value of it
    given = expect(dict, plain, at)
    hints = _hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        if field.name in given:
            values[field.name] = _read(hints[field.name], given[field.name], f"{at}.{field.name}")
        elif field.default is dataclasses.MISSING:
            raise UsageError(f"{at}.{field.name} is missing")
    return kind(**values)


@functools.cache  # there are as many as there are such classes
def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401  a dataclass
    return get_type_hints(kind)


def _tuple(kinds: tuple[Any, ...], plain: object, at: str) -> tuple[Any, ...]:
    items = expect(list, plain, at)
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(items)
    if len(items) != len(kinds):
        raise _unexpected(f"a list of {len(kinds)}", plain, at)
    return tuple(
        _read(kind, item, f"{at}[{position}]") for position, (kind, item) in enumerate(zip(kinds, items, strict=True))
    )


def _number(plain: object, at: str) -> float:
    try:
        return number_from_json(plain)
    except ValueError as error:
        raise UsageError(f"{at}: {error}") from error


def _unexpected(expected: str, plain: object, at: str) -> UsageError:
    return UsageError(f"{at}: expected {expected}; got {plain!r}")
