"""Whether Python's or NumPy's global generator was drawn from, told from the memory that holds its state.

Copying a Mersenne Twister through its own interface costs 10 to 60 µs, and its 2,500 bytes push others out of the
caches. A mark is 64 of them: the position, which every draw moves, and 15 of its 624 words, all of which change when
the position comes round, at a new seed, and at another state. The memory is only read.
"""

from __future__ import annotations

import _random
import ctypes
import functools
import random

import numpy as np

_MARK = 64
_WORDS = 624
_HEAD = object.__basicsize__
_INLINE = _random.Random.__basicsize__ - _HEAD  # of Python's: the position, then the words


Mark = tuple[tuple[bytes, float | None], bytes]  # of Python's generator, of NumPy's


def mark_of_generators() -> Mark | None:
    """Equal marks: nothing was drawn from `random`, and no word from NumPy's global generator, in between.

    A normal number that NumPy's legacy interface had kept from an earlier pair may have been handed out all the same.
    Returns: None where a state lies elsewhere in memory, or NumPy's generator is no MT19937.
    Cost: 0.4 µs in a hot cache.
    """
    python = random.getstate.__self__  # type: ignore[attr-defined]
    memories = _memories_of(python, np.random.get_bit_generator())  # type: ignore[attr-defined]  # public, no stub
    if memories is None:
        return None
    # `gauss` hands out the second of a pair without a draw
    return (memories[0].tobytes(), python.gauss_next), memories[1].tobytes()


@functools.lru_cache(maxsize=1)  # it holds the generators, so the addresses stay true
def _memories_of(python: random.Random, numpy: np.random.BitGenerator) -> tuple[memoryview, memoryview] | None:
    if not _STATE_IS_INLINE or type(numpy) is not np.random.MT19937:
        return None
    words_and_position: int = numpy.ctypes.state_address
    end = words_and_position + 4 * (_WORDS + 1)
    return _memory(id(python) + _HEAD), _memory(end - _MARK)


def _memory(address: int) -> memoryview:
    return memoryview((ctypes.c_ubyte * _MARK).from_address(address)).cast("B").toreadonly()


def _state_is_inline() -> bool:
    """Whether this Python keeps position and words in the object itself: what is read changes with every draw."""
    if _INLINE < _MARK:
        return False
    scratch = random.Random(0)  # noqa: S311  no secret: it tells where the state lies
    marks = [_memory(id(scratch) + _HEAD).tobytes()]
    for num_words in (1, 1, _WORDS):  # a new round, the next word, a whole round back to the same position
        scratch.getrandbits(32 * num_words)
        marks.append(_memory(id(scratch) + _HEAD).tobytes())
    return len(set(marks)) == len(marks)


_STATE_IS_INLINE = _state_is_inline()
