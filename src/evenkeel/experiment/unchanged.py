"""The step once more, with nothing changed: whether it fails each time."""

from __future__ import annotations

from evenkeel.experiment.change import Change


class Unchanged(Change):
    """Nothing is different. A step that fails at one time and not at another depends on more than its inputs."""

    name = "unchanged"
    changed = "nothing"
