"""What is told cannot steer the terminal."""

from __future__ import annotations

from evenkeel.investigate.telling import printable


def test_nothing_of_a_capsule_steers_the_terminal() -> None:
    """Escapes, bells and line ends of somebody else's text."""
    assert printable("step 3\x1b[31m\x07\nred\u202e é") == "step 3?[31m? red? é"
