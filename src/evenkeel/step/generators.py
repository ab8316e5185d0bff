"""Whether Python's or NumPy's global generator was drawn from, told from the memory that holds its state.

Copying a Mersenne Twister through its own interface costs 10 to 60 µs, comparing its memory half of one. The memory is
only compared, never written or kept as a state.
"""

from __future__ import annotations

import _random
import ctypes
import functools
import random

import numpy as np

_HEAD = object.__basicsize__
_INLINE = _random.Random.__basicsize__ - _HEAD
_MT19937 = 625 * 4  # 624 words and a position


def python_mark() -> tuple[bytes, float | None] | None:
    """Equal marks: nothing was drawn from `random` in between. None where its state lies elsewhere in memory."""
    return _mark_of(random.getstate.__self__) if _STATE_IS_INLINE else None  # type: ignore[attr-defined]


def numpy_mark() -> bytes | None:
    """Equal marks: no word was drawn from NumPy's global generator in between. None for another generator than MT19937.

    A normal number that the legacy interface had kept from an earlier pair may have been handed out all the same.
    """
    generator = np.random.get_bit_generator()  # type: ignore[attr-defined]  # public, and missing in the stubs
    address = _address_of(generator)
    return None if address is None else ctypes.string_at(address, _MT19937)


@functools.lru_cache(maxsize=1)  # it holds the generator, so the address stays true
def _address_of(generator: np.random.BitGenerator) -> int | None:
    if type(generator) is not np.random.MT19937:
        return None
    address: int = generator.ctypes.state_address
    return address


def _mark_of(generator: random.Random) -> tuple[bytes, float | None]:
    kept: float | None = generator.gauss_next  # type: ignore[attr-defined]  # the second of a pair
    return ctypes.string_at(id(generator) + _HEAD, _INLINE), kept


def _state_is_inline() -> bool:
    """Whether this Python keeps the words of a generator in the object itself: drawing then changes its memory."""
    scratch = random.Random(0)  # noqa: S311  no secret: it tells where the state lies
    before = _mark_of(scratch)
    scratch.random()
    return before != _mark_of(scratch)


_STATE_IS_INLINE = _state_is_inline()
