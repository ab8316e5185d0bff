"""Edits carried out on the text of a file: formatting and comments stay, everything else too."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from evenkeel.core.edit import Edit
from evenkeel.core.patch import Rewrite
from evenkeel.patch.bindings import writes_in_place
from evenkeel.patch.exchange import Exchange
from evenkeel.patch.flow import require_repeatable, require_same_value
from evenkeel.patch.imports import missing_imports, with_imports
from evenkeel.patch.operands import operand_of
from evenkeel.patch.refusal import Refusal, Refused
from evenkeel.patch.source import Expression, Extent, Source, extent, one_line
from evenkeel.patch.template import filled, uses

_LINE_END = re.compile(r"\r\n?|\n")


@dataclass(frozen=True, slots=True)
class Patched:
    """The new text, and what became what in it, in the order of the lines."""

    text: str
    rewrites: tuple[Rewrite, ...]


@dataclass(frozen=True, slots=True)
class _Replacement:
    """An expression of the text, the text that goes into its place, and what else that needs."""

    node: Expression
    homes: tuple[Expression, ...]  # of the operands
    before: str
    after: str
    imports: tuple[str, ...]


def patched(text: str, edits: Sequence[Edit]) -> Patched | Refusal:
    """Carry out edits of one file's text.

    Operands are taken over as they are written; parentheses come where they are needed; imports that are missing
    are added; a comment inside of a replaced expression moves above its statement.

    Returns: the new text, or why there is none: where the operands do not mean the same in the new place, where the
    text is not what was run, where edits overlap, or where a name that an import needs is taken.
    """
    try:
        return _patched(text, tuple(dict.fromkeys(edits)))
    except Refused as refused:
        return refused.refusal


def _patched(text: str, edits: Sequence[Edit]) -> Patched:
    source = Source.of(text)
    put = sorted((_replacement(source, edit) for edit in edits), key=lambda r: extent(r.node))
    _refuse_overlaps(put)
    wrapper, found = _parsed(text, put)
    after = with_imports(cst.parse_module(_rewritten(wrapper, found)), [s for r in put for s in r.imports]).code
    rewrites = [Rewrite(line=r.node.lineno, before=one_line(r.before), after=one_line(r.after)) for r in put]
    return Patched(after, tuple(rewrites))


def _replacement(source: Source, edit: Edit) -> _Replacement:
    node = source.expression(edit.span)
    if writes_in_place(node):
        raise Refused(f"{one_line(source.words(node))} (line {node.lineno}) writes in place, and is left as it is")
    homes = [source.expression(hole.span) for hole in edit.holes]
    operands = [operand_of(source, home, hole) for home, hole in zip(homes, edit.holes, strict=True)]
    for position, (home, operand) in enumerate(zip(homes, operands, strict=True)):
        if operand.node is not None:
            require_same_value(source, operand.node, home, node)
            if uses(edit.template, position) > 1:
                require_repeatable(source, operand.node)
    after = filled(edit.template, [operand.text for operand in operands])
    return _Replacement(node, tuple(homes), source.words(node), after, missing_imports(source, edit.imports, node))


def _refuse_overlaps(put: Sequence[_Replacement]) -> None:
    """No expression may be replaced twice, nor be written anew where another change takes an operand from."""
    for position, one in enumerate(put):
        for other in [*put[:position], *put[position + 1 :]]:
            touched = {node for home in (one.node, *one.homes) for node in ast.walk(home)}
            if other.node in touched:
                raise Refused(f"two changes overlap on line {other.node.lineno}")


def _rewritten(wrapper: MetadataWrapper, found: Mapping[cst.CSTNode, _Replacement]) -> str:
    """The text with each replacement in parentheses only where it would be read differently without."""
    wrapped = set(found)
    whole = _exchanged(wrapper, found, wrapped)
    for node in found:
        bare = _exchanged(wrapper, found, wrapped - {node})
        if _is_same(bare, whole):
            wrapped, whole = wrapped - {node}, bare
    if not _is_same(whole, whole):
        raise Refused("the changed text would be no Python")
    return whole


def _exchanged(
    wrapper: MetadataWrapper, found: Mapping[cst.CSTNode, _Replacement], wrapped: Collection[cst.CSTNode]
) -> str:
    """The text with parentheses around the replacements of `wrapped`; empty where it would be no Python."""
    try:
        return wrapper.module.visit(Exchange({n: (r.before, r.after, n in wrapped) for n, r in found.items()})).code
    except cst.CSTValidationError:  # `return-x` needs a space or parentheses
        return ""


def _parsed(text: str, put: Sequence[_Replacement]) -> tuple[MetadataWrapper, dict[cst.CSTNode, _Replacement]]:
    """LibCST's view of the text, and which of its nodes are to be replaced."""
    try:
        wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
    except cst.ParserSyntaxError as error:
        raise Refused(f"the file cannot be read by LibCST: {error.message}") from error
    lines = _LINE_END.split(text)
    wanted = {_in_characters(lines, extent(r.node)): r for r in put}
    found: dict[cst.CSTNode, _Replacement] = {}
    for node, where in wrapper.resolve(PositionProvider).items():
        position = (where.start.line, where.start.column, where.end.line, where.end.column)
        if position in wanted and isinstance(node, cst.Call | cst.BinaryOperation | cst.UnaryOperation | cst.Subscript):
            found[node] = wanted[position]
    if len(found) != len(put):
        raise Refused("two parsers do not agree on where the expression stands")
    return wrapper, found


def _in_characters(lines: Sequence[str], of: Extent) -> Extent:
    line, column, end_line, end_column = of
    return (line, _characters(lines[line - 1], column), end_line, _characters(lines[end_line - 1], end_column))


def _characters(line: str, num_bytes: int) -> int:
    return len(line.encode()[:num_bytes].decode())


def _is_same(text: str, other: str) -> bool:
    try:
        return ast.dump(ast.parse(text)) == ast.dump(ast.parse(other))
    except SyntaxError:
        return False
