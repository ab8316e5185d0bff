"""A command line made of a frozen dataclass: each field is an option, and its type, default and help stand once."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml

from evenkeel_recipes.kit.refusal import Refused

C = TypeVar("C")
TYPES: Mapping[type, click.ParamType[Any]] = {
    int: click.INT,
    float: click.FLOAT,
    str: click.STRING,
    Path: click.Path(path_type=Path),
}
LIMITS = ("least", "above", "below")


class Names(click.ParamType[Any]):
    """Names with commas between them."""

    name = "NAME,NAME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:  # noqa: ARG002  click's signature
        """The names, in their order."""
        given = value.split(",") if isinstance(value, str) else list(typing.cast("list[str]", value))
        return tuple(name.strip() for name in given if name.strip())


def option(
    default: Any,  # noqa: ANN401  as dataclasses.field
    help: str,  # noqa: A002  as click calls it
    *names: str,
    choices: tuple[str, ...] = (),
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:  # noqa: ANN401  as dataclasses.field
    """A field of a dataclass that is an option of the command line.

    Args:
        default: its default; the type of the field decides how text is read.
        help: one sentence.
        names: other names than that of the field, such as "--lr".
        choices: what it may be; empty: anything of its type.
        least: the smallest number that it may be.
        above: a number that it has to be larger than.
        below: a number that it has to be smaller than.
    """
    metadata = {"help": help, "names": names, "choices": choices, "least": least, "above": above, "below": below}
    return dataclasses.field(default=default, metadata=metadata)


def required(help: str, *names: str) -> Any:  # noqa: A002, ANN401  as above
    """A field that has to be given."""
    limits = {"least": None, "above": None, "below": None}
    return dataclasses.field(metadata={"help": help, "names": names, "choices": ()} | limits)


def command(name: str, config: type[C], carry_out: Callable[[C], int]) -> click.Command:
    """The command that reads `config` from the command line and ends with the status of `carry_out(config)`.

    Options win over `--config FILE` (YAML, a mapping from field to value), which wins over the defaults. A key that is
    no field is an error, and so is an option that is unknown.
    """
    hints = typing.get_type_hints(config)
    fields = dataclasses.fields(config)  # type: ignore[arg-type]  # a dataclass, by agreement

    def body(**given: Any) -> int:  # noqa: ANN401  values of all the types of the fields
        return carry_out(config(**given))

    from_file = click.Option(
        ["--config"],
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=lambda ctx, _, path: _defaults_of_file(ctx, path, {field.name for field in fields}),
        help="YAML with any of these options; the command line wins.",
    )
    params: list[click.Parameter] = [from_file, *(_as_option(field, hints[field.name]) for field in fields)]
    return click.Command(name, params=params, callback=body, help=config.__doc__, no_args_is_help=False)


def as_mapping(config: object) -> dict[str, object]:
    """The values of a configuration as JSON and YAML know them."""
    values = dataclasses.asdict(config)  # type: ignore[call-overload]  # a dataclass, by agreement
    return {key: _plain(value) for key, value in values.items()}


def from_mapping(config: type[C], values: Mapping[str, object]) -> C:
    """The configuration that `as_mapping` gave; fields that are not there have their defaults.

    Raises:
        Refused: a name is no field of it.
    """
    hints = typing.get_type_hints(config)
    names = {field.name for field in dataclasses.fields(config)}  # type: ignore[arg-type]  # as in `command`
    if strangers := sorted(set(values) - names):
        raise Refused(f"written by another version: {config.__name__} has no option {', '.join(strangers)}")
    return config(**{name: _restored(value, _kind(hints[name])) for name, value in values.items()})


def _restored(value: Any, kind: Any) -> Any:  # noqa: ANN401  what JSON holds, as the type of the field
    return kind(value) if value is not None and kind in {Path, tuple} else value


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _as_option(field: dataclasses.Field[Any], hint: Any) -> click.Option:  # noqa: ANN401  any annotation
    names = [field.name, "--" + field.name.replace("_", "-"), *field.metadata["names"]]
    missing = field.default is dataclasses.MISSING
    shown: dict[str, Any] = {"help": field.metadata["help"], "required": missing}
    if not missing:
        shown |= {"default": field.default, "show_default": field.default not in (None, (), False)}
    kind = _kind(hint)
    if kind is bool:
        return click.Option(names, is_flag=True, **shown)
    if field.metadata["choices"]:
        return click.Option(names, type=click.Choice(field.metadata["choices"]), **shown)
    return click.Option(names, type=_type(kind, **{key: field.metadata[key] for key in LIMITS}), **shown)


def _type(kind: type, least: float | None, above: float | None, below: float | None) -> click.ParamType[Any]:
    if least is None and above is None and below is None:
        return Names() if kind is tuple else TYPES[kind]
    smallest = least if above is None else above
    kinds: Mapping[type, type[click.IntRange | click.FloatRange]] = {int: click.IntRange, float: click.FloatRange}
    limits: Any = {"min": smallest, "max": below, "min_open": above is not None, "max_open": below is not None}
    return kinds[kind](**limits)


def _kind(hint: Any) -> Any:  # noqa: ANN401  any annotation
    if isinstance(hint, types.UnionType):
        return next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return typing.get_origin(hint) or hint


def _defaults_of_file(ctx: click.Context, path: Path | None, known: set[str]) -> None:
    if path is None:
        return
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} is no YAML: {error}") from error
    if not isinstance(values, dict):
        raise click.UsageError(f"{path}: a mapping from option to value is needed, not {type(values).__name__}")
    keys = {str(key).replace("-", "_"): value for key, value in values.items()}
    if strangers := sorted(set(keys) - known):
        raise click.UsageError(f"{path}: unknown options {', '.join(strangers)}; known are {', '.join(sorted(known))}")
    ctx.default_map = keys
