"""Puts an incident on the disk."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from evenkeel.core.errors import UsageError
from evenkeel.core.incident import Incident
from evenkeel.report import as_html, as_json

JSON_NAME = "incident.json"
HTML_NAME = "report.html"
PATCH_NAME = "fix.patch"


def with_patch(incident: Incident, directory: Path) -> Incident:
    """Ask for the first diff of the advice as a file of its own in `directory`; where there is none, for nothing."""
    has_diff = any(advice.diff is not None for advice in incident.advice)
    return replace(incident, patch=str(directory / PATCH_NAME)) if has_diff else incident


def write(incident: Incident, directory: Path) -> Incident:
    """Write incident.json, report.html and the patch asked for into `directory`, which is made when it is missing.

    Each file appears whole or not at all.

    Returns: the incident as written, with the path of its report.

    Raises:
        UsageError: one of the files is there already; then none is written.
    """
    json_path, html_path = directory / JSON_NAME, directory / HTML_NAME
    patch = [] if incident.patch is None else [Path(incident.patch)]
    for path in (json_path, html_path, *patch):
        if path.exists():
            raise UsageError(f"{path} exists and is not overwritten; choose another directory, or remove it")
    directory.mkdir(parents=True, exist_ok=True)
    written = replace(incident, report=str(html_path))
    _place(json_path, as_json.to_json(written))  # first: the page can be made from it, not the reverse
    _place(html_path, as_html.render(written))
    for path in patch:
        _place(path, next(advice.diff for advice in incident.advice if advice.diff is not None))
    return written


def _place(path: Path, text: str) -> None:
    """Write beside the goal, then rename, so that nobody ever sees half a file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # A file name may hold bytes that are no text; they are shown, not a reason to lose the report.
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
