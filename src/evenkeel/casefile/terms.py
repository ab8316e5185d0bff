"""The summands of the loss of a failing step, and which of them carry the bad value."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evenkeel.core.case import Origin, Term
from evenkeel.core.stats import TensorStats
from evenkeel.locate.entrance import ancestors
from evenkeel.locate.record import Record
from evenkeel.locate.summands import Summand


def terms_of(found: Sequence[Summand], records: Sequence[Record], origin: Origin | None) -> tuple[Term, ...]:
    """The terms of the backward call that the origin led to; empty when the loss is no sum.

    A term is healthy when its value is finite and so are its own gradients. Where these could not be asked for, it
    counts that the origin is not among the operations that made the term.
    """
    summands = [s for s in found if s.record is not None]
    touched = {s for s in summands if origin is not None and _is_made_of(s, origin, records)}
    calls = {s.backward for s in touched} or {s.backward for s in summands[-1:]}
    concerned = [s for s in summands if s.backward in calls]
    if len(concerned) < 2 and len({s.name for s in summands}) > 1:  # noqa: PLR2004  each backward call is a term
        concerned = summands
    if len(concerned) < 2:  # noqa: PLR2004  no sum
        return ()
    return tuple(_term(s, records, is_touched=s in touched) for s in concerned)


def carrying(terms: Sequence[Term]) -> str | None:
    """The names of those that are not healthy."""
    return ", ".join(dict.fromkeys(term.name for term in terms if not term.is_healthy)) or None


def _is_made_of(summand: Summand, origin: Origin, records: Sequence[Record]) -> bool:
    return summand.record is not None and origin.operation.index in ancestors(records, summand.record)


def _term(summand: Summand, records: Sequence[Record], *, is_touched: bool) -> Term:
    record = records[summand.record or 0]
    stats = [write.stats for write in record.writes if write.stats is not None]
    is_bad = any(s.num_nonfinite for s in stats)
    has_bad_gradients = is_touched if summand.has_finite_gradients is None else not summand.has_finite_gradients
    return Term(
        name=summand.name,
        value=_number(stats[0]) if stats else None,
        is_healthy=not is_bad and not has_bad_gradients,
        place=record.place,
    )


def _number(stats: TensorStats) -> float | None:
    if stats.numel != 1:
        return None
    if stats.num_nan:
        return math.nan
    return math.inf if stats.num_posinf else -math.inf if stats.num_neginf else stats.min
