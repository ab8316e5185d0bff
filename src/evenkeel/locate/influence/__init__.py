"""Which elements of an operation's inputs can have reached which elements of its output, and the other way round.

For each kind of operation there is a *shadow*: a linear function without negative coefficients, from the shape of one
input to the shape of one output, in which an element of the output depends on just those elements of the input that
it depends on in the operation itself. What a marked input reaches is the shadow of the marks; what a marked output can
come from is the shadow's derivative, which torch computes. `table` says which shadow an operation has.
"""

from evenkeel.locate.influence.through import decided_by, influence, is_index, reached

__all__ = ["decided_by", "influence", "is_index", "reached"]
