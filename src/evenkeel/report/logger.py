"""Who else is told of an incident: the record of experiments that a team looks at."""

from __future__ import annotations

from typing import Protocol

from evenkeel.core.incident import Incident


class IncidentLogger(Protocol):
    """Somebody else's record of the run; the classes of `integrations.loggers` are such."""

    def incident(self, incident: Incident) -> None:
        """Take note of an incident that was written; `incident.report` is the path of its page."""
