"""Templates: the text that goes into the place of an expression."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from evenkeel.patch.refusal import Refused

_HOLE = re.compile(r"\{(\d+)\}")
# with these a number becomes finite and nothing is learnt
_HIDING = frozenset({"nan_to_num", "nan_to_num_", "nansum", "nanmean", "nanmedian", "isfinite", "isnan"})


def filled(template: str, operands: Sequence[str]) -> str:
    """The template with its holes filled; an operand gets parentheses where it would be read differently without.

    Raises:
        Refused: what the template calls only hides a number that is not finite, or it is no expression.
    """
    _refuse_hiding(template)
    inside = [means_the_same(operand, operand) for operand in operands]  # a slice bears no parentheses
    for position in range(len(operands)):
        bare = [wrapped and i != position for i, wrapped in enumerate(inside)]
        if means_the_same(_put(template, operands, bare), _put(template, operands, inside)):
            inside = bare
    text = _put(template, operands, inside)
    if not means_the_same(text, text):
        raise Refused(f"{text} is no expression")
    return text


def uses(template: str, position: int) -> int:
    """How often an operand stands in a template."""
    return sum(int(number) == position for number in _HOLE.findall(template))


def means_the_same(text: str, other: str) -> bool:
    """Whether two texts are the same expression; False when one of them is none."""
    try:
        return ast.dump(_parsed(text)) == ast.dump(_parsed(other))
    except SyntaxError:
        return False


def _parsed(text: str) -> ast.expr:
    return ast.parse(f"({text}\n)", mode="eval").body  # an operand may take several lines and end with a comment


def _put(template: str, operands: Sequence[str], wrapped: Sequence[bool]) -> str:
    def operand(found: re.Match[str]) -> str:
        position = int(found[1])
        return f"({operands[position]})" if wrapped[position] else operands[position]

    return _HOLE.sub(operand, template)


def _refuse_hiding(template: str) -> None:
    for name in re.findall(r"[A-Za-z_]\w*", template):
        if name in _HIDING:
            raise Refused(f"{name} would hide the bad number, not keep it from being made")
