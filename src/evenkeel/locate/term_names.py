"""What a person would call a summand of the loss: the text between the plus signs, else a variable that holds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor
from torch.autograd.graph import Node

from evenkeel.core.place import Place
from evenkeel.locate.source import variables_of_user
from evenkeel.locate.statements import Statement, assigned_name, operand_texts, statement_at
from evenkeel.locate.trace import Trace
from evenkeel.tensors.nodes import number_of
from evenkeel.tensors.sums import Sum

_DEEPEST = 8  # scalings between a variable and the term that is made of it


class Namer:
    """Names the terms of one backward call.

    Cost: the source files of the sums are parsed once each.
    """

    def __init__(self, trace: Trace) -> None:
        """Look at the variables of the user's frame that called backward."""
        self._trace = trace
        found = sorted(_nodes_in(variables_of_user()), key=lambda pair: "[" in pair[1])
        self._variables = dict(found)  # an element's name rather than that of a loop's variable
        self._told: set[tuple[str, ...]] = set()

    def names_of(self, tree: Sum) -> Iterator[tuple[Node, str]]:
        """Every term with its name, from left to right."""
        if not tree.parts:
            yield tree.node, self._name_of(tree.node, "")
            return
        operands = list(self._operands(tree))
        texts = self._texts(tree, len(operands))
        for position, operand in enumerate(operands):
            if operand.parts:
                yield from self.names_of(operand)
            else:
                yield operand.node, self._name_of(operand.node, texts[position] if texts else "")

    def _operands(self, tree: Sum) -> Iterator[Sum]:
        """The parts that are added up in one statement, however it is bracketed; no constants."""
        here = self._statement(tree.node)
        for part in tree.parts:
            if part.parts and not part.is_scaled and self._statement(part.node) == here:
                yield from self._operands(part)
            else:
                yield part

    def _texts(self, tree: Sum, count: int) -> tuple[str, ...]:
        statement = self._statement(tree.node)
        fitting = [] if statement is None else [t for t in operand_texts(statement) if len(t) == count]
        texts = next((t for t in fitting if t not in self._told), ())
        self._told.add(texts)
        return texts

    def _name_of(self, node: Node, text: str) -> str:
        """A statement in a loop adds up many things under one text: there the element of a container is better."""
        variable = self._variable_of(node)
        if text and not ("[" in variable or (variable and text.isidentifier())):
            return text
        return variable or self._text_where_made(node)

    def _variable_of(self, node: Node) -> str:
        """The variable that holds it, or what it is a multiple of; "" when there is none."""
        inner: Node | None = node
        for _ in range(_DEEPEST):
            if inner is None or inner in self._variables:
                break
            inputs = [following for following, _ in inner.next_functions if following is not None]
            inner = inputs[0] if len(inputs) == 1 else None
        return "" if inner is None else self._variables.get(inner, "")

    def _text_where_made(self, node: Node) -> str:
        place = self._place(node)
        if place is None:
            return node.name().removesuffix("Backward0")
        statement = statement_at(place)
        return (assigned_name(statement, place) if statement is not None else "") or place.source

    def _statement(self, node: Node) -> Statement | None:
        place = self._place(node)
        return None if place is None else statement_at(place)

    def _place(self, node: Node) -> Place | None:
        record = self._trace.record_of(number_of(node))
        return None if record is None else self._trace.records[record].place


def _nodes_in(variables: dict[str, object]) -> Iterator[tuple[Node, str]]:
    """The nodes that made the tensors in variables, and in the containers that variables hold."""
    for name, value in variables.items():
        parts: Sequence[tuple[str, object]] = [(name, value)]
        if isinstance(value, dict):
            parts = [(f"{name}[{key!r}]", part) for key, part in value.items()]
        elif isinstance(value, list | tuple):
            parts = [(f"{name}[{position}]", part) for position, part in enumerate(value)]
        for text, part in parts:
            if isinstance(part, Tensor) and part.grad_fn is not None:
                yield part.grad_fn, text
