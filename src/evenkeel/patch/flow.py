"""Whether text that stands in one place of a function has the same value in another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import product

from evenkeel.patch.bindings import Binding, bindings, concern, reads
from evenkeel.patch.refusal import Refused
from evenkeel.patch.source import Expression, Source, one_line

# what may be computed once more: it looks at a tensor in another way, or is cheap arithmetic without side effects
_HARMLESS = """
    abs bool clone contiguous cos detach dim div double exp expand expand_as flatten float half int len log long matmul
    mean mul neg numel permute pow reciprocal reshape sin size sqrt square squeeze sub sum t tanh to transpose type
    type_as unflatten unsqueeze view view_as
"""
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def require_same_value(source: Source, taken: ast.expr, call: Expression, edited: Expression) -> None:
    """See to it that `taken`, an operand of `call`, means in the place of `edited` what it meant where it stands.

    Both have to stand in one function, and nothing may give the names in `taken` another value between them. Where
    `edited` uses what `call` made, the statement of `call` has to run each time before that of `edited`, and so has
    whatever else gives `edited` its names their values; where `call` uses what `edited` makes, it has to follow in the
    same block. What functions that are called on the way do is not looked at: the proof is there for that.

    Raises:
        Refused: it cannot be told from the text that this is so.
    """
    if source.scope(call) is not source.scope(edited):
        raise Refused(f"{_quoted(source, call)} stands in another function than {_quoted(source, edited)}")
    if call is edited or edited in source.above(call):
        return
    require_repeatable(source, taken)
    there = source.statement(edited)
    is_later = not _is_before(source.statement(call), there) and source.statement(call) is not there
    given = tuple((_given_after if is_later else _given_between)(source, call, edited))
    for read, binding in product(sorted(reads(taken)), given):
        if concern(read, binding.key):
            raise Refused(
                f"{read} may have another value at {_quoted(source, edited)} than at {_quoted(source, call)}: "
                f"line {binding.line} gives it one"
            )
    for read, binding in product(sorted(reads(edited)), () if is_later else given):
        is_sure = _is_before(binding.node, there) and _always_runs(source, binding, there)
        if concern(read, binding.key) and not is_sure:
            raise Refused(f"line {binding.line} may give {read} another value for {_quoted(source, edited)}")


def require_repeatable(source: Source, taken: ast.expr) -> None:
    """See to it that an expression may be computed once more.

    Raises:
        Refused: it calls something that may cost time, draw random numbers, or change what it works on.
    """
    for node in ast.walk(taken):
        if isinstance(node, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom) or _calls_unknown(node):
            raise Refused(f"{_quoted(source, taken)} would be computed twice")


def _calls_unknown(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name not in _HARMLESS.split()


def _given_between(source: Source, call: Expression, edited: Expression) -> Iterator[Binding]:
    """Names that get a value from the statement of `call` on until `edited` is computed."""
    here, there = source.statement(call), source.statement(edited)
    if here is there:
        yield from (b for node in ast.walk(here) if isinstance(node, ast.NamedExpr) for b in bindings(node))
        return
    chain: list[ast.AST] = [there, *source.above(there)]
    block = _block_of(source, here)
    last = next((i for i, node in enumerate(block) if node in chain), -1)
    first = block.index(here)
    if last <= first:
        raise _not_before(call, edited)
    for statement in block[first:last]:
        yield from bindings(statement)
    inside = chain[: chain.index(block[last]) + 1]
    repeated = [node for node in inside if isinstance(node, _LOOPS)]
    if repeated:  # what follows in a loop runs before its next turn
        yield from bindings(repeated[-1])
    yield from (b for b in bindings(block[last]) if _is_before(b.node, there) and not repeated)


def _given_after(source: Source, call: Expression, edited: Expression) -> Iterator[Binding]:
    """Names that get a value from `edited` on until the statement of `call`, which uses what `edited` makes.

    In a loop it might be the other way round: there `edited` must read nothing that gets its value after it.
    """
    there, here = source.statement(call), source.statement(edited)
    block = _block_of(source, here)
    if there not in block:
        raise _not_before(call, edited)
    loops = [node for node in source.above(here) if isinstance(node, _LOOPS)]
    later = [b for b in bindings(loops[-1]) if not _is_before(b.node, here)] if loops else []
    if any(concern(read, b.key) for read, b in product(reads(edited), later)):
        raise _not_before(call, edited)
    for statement in block[block.index(here) : block.index(there)]:
        yield from bindings(statement)


def _not_before(call: Expression, edited: Expression) -> Refused:
    return Refused(f"line {call.lineno} does not run each time before line {edited.lineno} does")


def _always_runs(source: Source, binding: Binding, there: ast.stmt) -> bool:
    """Whether it stands in no block that `there` does not stand in too."""
    block = _block_of(source, source.statement(binding.node))
    return any(node in block for node in (there, *source.above(there)))


def _block_of(source: Source, statement: ast.stmt) -> list[ast.stmt]:
    """The statements among which a statement stands."""
    fields = ast.iter_fields(source.parents[statement])
    return next(value for _, value in fields if isinstance(value, list) and statement in value)


def _is_before(node: ast.AST, statement: ast.stmt) -> bool:
    return (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)) < (statement.lineno, statement.col_offset)


def _quoted(source: Source, node: ast.expr) -> str:
    return f"{one_line(source.words(node))} (line {node.lineno})"
