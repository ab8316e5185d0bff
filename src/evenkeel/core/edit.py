"""A change to a line of the user's own text, told without the text: what is replaced, by what, made of which parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """An expression in a file, as Python's own bytecode tells it."""

    file: str
    scope: str  # enclosing function, "<module>" at top level
    line: int  # from 1
    column: int  # from 0, in bytes of UTF-8
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """One operand of a call or of a binary operation in the user's text.

    Operands are counted from 0; the object before the dot of a method, and the left side, come first.
    """

    span: Span
    position: int
    keyword: str = ""  # the operand's name, where it may be given by name
    is_method: bool = False  # the object before the dot is operand 0
    default: str = ""  # what to write where the text does not give it


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Put `template` in the place of `span`, with `{0}`, `{1}`, … filled from `holes`."""

    span: Span
    template: str  # "torch.log_softmax({0}, dim={1})"
    holes: tuple[Hole, ...] = ()
    imports: tuple[str, ...] = ()  # statements that the template needs: "import torch", "from evenkeel import ops"
