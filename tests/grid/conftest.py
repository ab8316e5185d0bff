"""What all rows of the grid share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _only_objects_of_the_grid() -> Iterator[None]:
    """A guard looks for models among all living objects; the million that pytest and torch hold are set aside."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
