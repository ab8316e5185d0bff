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


def write(incident: Incident, directory: Path) -> Incident:
    """Write incident.json and report.html into `directory`, which is made when it is missing.

    Each file appears whole or not at all.

    Returns: the incident as written, with the path of its report.

    Raises:
        UsageError: one of the two files is there already; then neither is written.
    """
    json_path, html_path = directory / JSON_NAME, directory / HTML_NAME
    for path in (json_path, html_path):
        if path.exists():
            raise UsageError(f"{path} exists and is not overwritten; choose another directory, or remove it")
    directory.mkdir(parents=True, exist_ok=True)
    written = replace(incident, report=str(html_path))
    _place(json_path, as_json.to_json(written))  # first: the page can be made from it, not the reverse
    _place(html_path, as_html.render(written))
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
